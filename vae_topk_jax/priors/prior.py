"""What a prior is: fitted to codes of training images, it draws codes that are like them."""

from typing import ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

CHUNK = 128  # codes that one program draws


class Examples(NamedTuple):
    """What a prior is fitted to.

    Attributes:
        codes_NxD: codes of training images.
        latents_NxD: their latents before the mask (`Inference.latents`).

    Examples:
        >>> Examples.of([[1.0, 0.0], [0.0, 2.0]]).latents_NxD.shape
        (2, 2)
    """

    codes_NxD: np.ndarray
    latents_NxD: np.ndarray

    @classmethod
    def of(cls, codes_NxD: object, latents_NxD: object = None) -> Self:
        """Examples of codes alone, where there are no other latents.

        Raises:
            ValueError: fewer than two codes, values that are not finite, or latents of another
                shape.
        """
        codes = np.asarray(codes_NxD, np.float32)
        latents = codes if latents_NxD is None else np.asarray(latents_NxD, np.float32)
        if codes.ndim != 2 or len(codes) < 2:
            raise ValueError(f"codes must be (N, D) with N at least 2, got shape {codes.shape}")
        if latents.shape != codes.shape:
            raise ValueError(f"latents must have shape {codes.shape}, got {latents.shape}")
        if not (np.isfinite(codes).all() and np.isfinite(latents).all()):
            raise ValueError("codes and latents must be finite")
        return cls(codes, latents)


class Prior:
    """A distribution over codes. Its fields are arrays, or mappings of arrays, and nothing else.

    Attributes:
        before_mask: whether what is drawn are latents before the mask, which become codes by
            `Inference.sparsify`.
    """

    before_mask: ClassVar[bool] = False

    @classmethod
    def fit(cls, examples: Examples, key: Array) -> Self:
        """The prior of these examples.

        Args:
            examples: codes of training images.
            key: typed key of whatever is drawn in fitting. A prior may have further arguments, each
                with a default.
        """
        raise NotImplementedError

    def sample(self, key: Array, n: int) -> Array:
        """n codes (n, D), or latents where `before_mask`; may be jitted, with `n` static."""
        raise NotImplementedError


def seed_of(key: Array) -> int:
    """The last word of a key, for libraries that are seeded with a number.

    Examples:
        >>> seed_of(jax.random.key(3))
        3
    """
    return int(jax.random.key_data(key).ravel()[-1])


def draw(prior: Prior, key: Array, n: int) -> Array:
    """n samples of a prior, in chunks of one size, each with a key of its own: the first ones are
    the same whatever n is.

    Args:
        prior: the prior.
        key: typed key.
        n: how many.
    """
    starts = range(0, n, CHUNK)
    chunks = [_chunk(prior, jax.random.fold_in(key, number)) for number in range(len(starts))]
    return jnp.concatenate(chunks)[:n]


@jax.jit
def _chunk(prior: Prior, key: Array) -> Array:
    return prior.sample(key, CHUNK)
