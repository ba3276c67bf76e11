"""Supports of training images with independent values."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import active_moments
from vae_topk_jax.priors.prior import Examples, Prior
from vae_topk_jax.selection import apply_mask


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Patterns(Prior):
    """The support of some training image and independent Gaussian values.

    Latents are active together as often as in training; the values of a latent have the mean and
    the variance of its active entries, in images of the class.

    Attributes:
        masks_PxD: which latents were active, a row an image.
        class_P: the class of each image, ascending.
        mean_YxD: mean of each latent's active entries in a class.
        std_YxD: their standard deviation.

    Examples:
        >>> from vae_topk_jax.priors.prior import draw
        >>> prior = Patterns.fit(Examples.of([[1.0, 0.0], [0.0, 2.0]]), jax.random.key(0))
        >>> sorted(set(map(tuple, draw(prior, jax.random.key(0), 99).tolist())))
        [(0.0, 2.0), (1.0, 0.0)]
    """

    masks_PxD: Array
    class_P: Array
    mean_YxD: Array
    std_YxD: Array

    def shares(self) -> Array:
        """share_Y."""
        count_Y = jnp.bincount(self.class_P, length=len(self.mean_YxD))
        return count_Y.astype(jnp.float32) / len(self.class_P)

    @classmethod
    def fit(cls, examples: Examples, key: Array) -> Self:
        """The patterns of the codes; nothing is drawn."""
        codes_NxD, class_N = examples.codes_NxD, examples.class_N
        moments = [active_moments(codes_NxD[class_N == y]) for y in range(examples.classes)]
        mean_YxD, std_YxD = (
            jnp.asarray(np.stack(x), jnp.float32) for x in zip(*moments, strict=True)
        )
        order_P = np.argsort(class_N, kind="stable")
        masks_PxD, class_P = codes_NxD[order_P] != 0, class_N[order_P]
        return cls(jnp.asarray(masks_PxD), jnp.asarray(class_P), mean_YxD, std_YxD)

    def sample(self, key: Array, class_N: Array) -> Array:
        """Codes, each with the support of some training image of the class."""
        choice_key, value_key = jax.random.split(key)
        first_N, end_N = (
            jnp.searchsorted(self.class_P, class_N, side=side) for side in ("left", "right")
        )
        row_N = jax.random.randint(choice_key, class_N.shape, first_N, end_N, jnp.int32)
        mean_NxD, std_NxD = self.mean_YxD[class_N], self.std_YxD[class_N]
        eps_NxD = jax.random.normal(value_key, mean_NxD.shape, jnp.float32)
        return apply_mask(mean_NxD + std_NxD * eps_NxD, self.masks_PxD[row_N])
