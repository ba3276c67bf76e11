"""Random keys of a study, one for each purpose."""

import zlib

import jax

# Committed rows were drawn with the first four letters of these purposes.
_BY_FOUR_LETTERS = frozenset(
    {"latent", "likelihood", "mask", "mixture", "noise", "patterns", "prior", "probe", "rate"}
)


def study_key(seed: int, purpose: str) -> jax.Array:
    """A key for one purpose of one seed, independent of the keys of the others.

    Examples:
        >>> bool((study_key(0, "mixture") == study_key(0, "mixed weights")).all())
        False
    """
    letters = purpose.encode()
    number = (
        int.from_bytes(letters[:4], "big") if purpose in _BY_FOUR_LETTERS else zlib.crc32(letters)
    )
    return jax.random.fold_in(jax.random.key(seed), number)
