"""Supports of training images with independent values."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.priors.analog_bits import active_moments
from vae_topk_jax.priors.prior import Examples, Prior
from vae_topk_jax.selection import apply_mask


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Patterns(Prior):
    """The support of some training image and independent Gaussian values.

    Latents are active together as often as in training; the values of a latent have the mean and
    the variance of its active entries.

    Attributes:
        masks_PxD: which latents were active, a row an image.
        mean_D: mean of each latent's active entries.
        std_D: their standard deviation.

    Examples:
        >>> prior = Patterns.fit(Examples.of([[1.0, 0.0], [0.0, 2.0]]), jax.random.key(0))
        >>> sorted(set(map(tuple, prior.sample(jax.random.key(0), 99).tolist())))
        [(0.0, 2.0), (1.0, 0.0)]
    """

    masks_PxD: Array
    mean_D: Array
    std_D: Array

    @classmethod
    def fit(cls, examples: Examples, key: Array) -> Self:
        """The patterns of the codes; nothing is drawn."""
        mean_D, std_D = (jnp.asarray(x, jnp.float32) for x in active_moments(examples.codes_NxD))
        return cls(jnp.asarray(examples.codes_NxD != 0), mean_D, std_D)

    def sample(self, key: Array, n: int) -> Array:
        """n codes, each with the support of some training image."""
        choice_key, value_key = jax.random.split(key)
        row_N = jax.random.randint(choice_key, (n,), 0, len(self.masks_PxD))
        eps_NxD = jax.random.normal(value_key, (n, len(self.mean_D)), jnp.float32)
        values_NxD = self.mean_D[None, :] + self.std_D[None, :] * eps_NxD
        return apply_mask(values_NxD, self.masks_PxD[row_N])
