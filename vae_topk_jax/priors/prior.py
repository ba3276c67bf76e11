"""What a prior is: fitted to codes of training images, it draws codes that are like them."""

from typing import ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.condition import NO_LABEL, of_chunk

CHUNK = 128  # codes that one program draws


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
        return 1

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
            class_N: the class of each, int32; -1: any, as often as in the examples.
        """
        raise NotImplementedError


def choose(key: Array, share_YxM: Array, class_N: Array) -> Array:
    """component_N, each drawn by the shares in its class, or in all classes where that is -1.

    Args:
        key: typed key.
        share_YxM: how large a part of the examples is of that class and that component.
        class_N: as in `Prior.sample`.

    Examples:
        >>> share_YxM = jnp.array([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
        >>> choose(jax.random.key(0), share_YxM, jnp.array([1, 0, 1])).tolist()
        [1, 0, 1]
        >>> set(choose(jax.random.key(0), share_YxM, jnp.full(99, -1)).tolist())
        {0, 1}
    """
    all_1xM = jnp.sum(share_YxM, axis=0, keepdims=True)
    share_ZxM = jnp.concatenate([share_YxM, all_1xM])  # the last of which is that of class -1
    return jax.random.categorical(key, jnp.log(share_ZxM)[class_N])


def seed_of(key: Array) -> int:
    """The last word of a key, for libraries that are seeded with a number.

    Examples:
        >>> seed_of(jax.random.key(3))
        3
    """
    return int(jax.random.key_data(key).ravel()[-1])


def draw(prior: Prior, key: Array, n: int, class_N: np.ndarray | None = None) -> Array:
    """n samples of a prior, in chunks of one size, each with a key of its own: the first ones are
    the same whatever n is.

    Args:
        prior: the prior.
        key: typed key.
        n: how many.
        class_N: as in `Prior.sample`; None: any.
    """
    chunks = [
        draw_chunk(prior, jax.random.fold_in(key, number), of_chunk(class_N, start, CHUNK))
        for number, start in enumerate(range(0, n, CHUNK))
    ]
    return jnp.concatenate(chunks)[:n]


@jax.jit
def draw_chunk(prior: Prior, key: Array, class_C: Array | None) -> Array:
    """A chunk of samples; of any class where the prior tells none apart."""
    if class_C is None or prior.classes == 1:
        class_C = jnp.full(CHUNK, NO_LABEL, jnp.int32)
    return prior.sample(key, class_C)
