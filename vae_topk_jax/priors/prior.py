"""What a prior is: fitted to codes of training images, it draws codes that are like them."""

from typing import ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.condition import NO_LABEL, of_chunk

CHUNK = 128  # codes that one program draws
_CLASS = 2**32 - 1  # is folded into the key of a chunk for that of its classes


class Examples(NamedTuple):
    """What a prior is fitted to.

    Attributes:
        codes_NxD: codes of training images.
        latents_NxD: their latents before the mask (`Inference.latents`).
        class_N: the class of each, int32; 0 where they have none.

    Examples:
        >>> Examples.of([[1.0, 0.0], [0.0, 2.0]]).latents_NxD.shape
        (2, 2)
    """

    codes_NxD: np.ndarray
    latents_NxD: np.ndarray
    class_N: np.ndarray

    @classmethod
    def of(
        cls, codes_NxD: object, latents_NxD: object = None, class_N: np.ndarray | None = None
    ) -> Self:
        """Examples of codes alone, where there are no other latents and no classes.

        Raises:
            ValueError: fewer than two codes, values that are not finite, latents of another shape,
                or a class without examples.
        """
        codes = np.asarray(codes_NxD, np.float32)
        latents = codes if latents_NxD is None else np.asarray(latents_NxD, np.float32)
        if codes.ndim != 2 or len(codes) < 2:
            raise ValueError(f"codes must be (N, D) with N at least 2, got shape {codes.shape}")
        if latents.shape != codes.shape:
            raise ValueError(f"latents must have shape {codes.shape}, got {latents.shape}")
        if not (np.isfinite(codes).all() and np.isfinite(latents).all()):
            raise ValueError("codes and latents must be finite")
        if class_N is None:
            class_N = np.zeros(len(codes), np.int32)
        check_classes(class_N, int(class_N.max()) + 1)
        return cls(codes, latents, class_N)

    @property
    def classes(self) -> int:
        """Y, how many classes there are."""
        return int(self.class_N.max()) + 1

    @property
    def share_Y(self) -> np.ndarray:
        """The share of each class."""
        return np.bincount(self.class_N) / len(self.class_N)


def check_classes(class_N: np.ndarray, classes: int) -> None:
    """Refuses labels of too few classes.

    Raises:
        ValueError: names those without an example.

    Examples:
        >>> check_classes(np.array([0, 2]), classes=4)
        Traceback (most recent call last):
        ValueError: label must be of each of the 4 classes in some example, got none of [1, 3]
    """
    if missing := sorted({*range(classes)} - {*np.unique(class_N).tolist()}):
        raise ValueError(
            f"label must be of each of the {classes} classes in some example, got none of {missing}"
        )


class Prior:
    """A distribution over codes. Its fields are arrays, or mappings of arrays, and nothing else.

    Attributes:
        before_mask: whether what is drawn are latents before the mask, which become codes by
            `Inference.sparsify`.
    """

    before_mask: ClassVar[bool] = False

    @property
    def classes(self) -> int:
        """Y, how many classes it tells apart; 1: none."""
        return len(self.shares())

    def shares(self) -> Array:
        """share_Y of each class in the examples."""
        return jnp.ones(1, jnp.float32)

    @classmethod
    def fit(cls, examples: Examples, key: Array) -> Self:
        """The prior of these examples.

        Args:
            examples: codes of training images.
            key: typed key of whatever is drawn in fitting. A prior may have further arguments, each
                with a default.
        """
        raise NotImplementedError

    def sample(self, key: Array, class_N: Array) -> Array:
        """Codes (N, D), or latents where `before_mask`; may be jitted.

        Args:
            key: typed key.
            class_N: the class of each, int32; 0 where there are none.
        """
        raise NotImplementedError


def choose(key: Array, share_YxM: Array, class_N: Array) -> Array:
    """component_N, each drawn by the shares in its class.

    Args:
        key: typed key.
        share_YxM: how large a part of the examples is of that class and that component.
        class_N: as in `Prior.sample`.

    Examples:
        >>> share_YxM = jnp.array([[0.5, 0.0, 0.0], [0.0, 0.0, 0.5]])
        >>> choose(jax.random.key(0), share_YxM, jnp.array([1, 0, 1])).tolist()
        [2, 0, 2]
    """
    return jax.random.categorical(key, jnp.log(share_YxM)[class_N])


class Drawn(NamedTuple):
    """What a prior draws.

    Attributes:
        z_NxD: codes, or latents where `before_mask`.
        class_N: the class of each; -1 where the prior tells none apart and none was asked for.
    """

    z_NxD: Array
    class_N: Array


def seed_of(key: Array) -> int:
    """The last word of a key, for libraries that are seeded with a number.

    Examples:
        >>> seed_of(jax.random.key(3))
        3
    """
    return int(jax.random.key_data(key).ravel()[-1])


def draw(prior: Prior, key: Array, n: int, class_N: np.ndarray | None = None) -> Array:
    """The samples of `draw_labelled`, (n, D)."""
    return draw_labelled(prior, key, n, class_N).z_NxD


def draw_labelled(prior: Prior, key: Array, n: int, class_N: np.ndarray | None = None) -> Drawn:
    """n samples of a prior, in chunks of one size, each with a key of its own: the first ones are
    the same whatever n is.

    Args:
        prior: the prior.
        key: typed key.
        n: how many.
        class_N: of which class each; -1, or None: any, as often as in the examples.
    """
    if class_N is None:
        class_N = np.full(n, NO_LABEL, np.int32)
    chunks = [
        draw_chunk(prior, jax.random.fold_in(key, number), of_chunk(class_N, start, CHUNK))
        for number, start in enumerate(range(0, n, CHUNK))
    ]
    return Drawn(*(jnp.concatenate(leaves)[:n] for leaves in zip(*chunks, strict=True)))


@jax.jit
def draw_chunk(prior: Prior, key: Array, class_C: Array) -> Drawn:
    """A chunk of samples, see `draw_labelled`."""
    if prior.classes == 1:
        return Drawn(prior.sample(key, jnp.zeros_like(class_C)), class_C)
    log_share_Y = jnp.log(prior.shares())
    any_C = jax.random.categorical(jax.random.fold_in(key, _CLASS), log_share_Y, shape=(CHUNK,))
    class_C = jnp.where(class_C == NO_LABEL, any_C.astype(jnp.int32), class_C)
    return Drawn(prior.sample(key, class_C), class_C)
