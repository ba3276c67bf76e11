"""Latents as dense vectors, from which they are had back with exact zeros."""

from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.supports import Supports, varying
from vae_topk_jax.selection import apply_mask


class AnalogBits(NamedTuple):
    """Latents as standardised values, with a bit of +-1 for each that is zero in some codes.

        x = [(z - mean) / std, b],    b_d = 1 if z_d != 0 else -1

    with the mean and the standard deviation of a latent's entries that are not 0; the value of an
    entry that is 0 is 0. Latents that no code uses are left out. Any x gives latents back: the
    entries that are not 0 are those of the positive bits or, where all codes have K of them, of the
    K largest, or the largest of each group. Latents before a mask that have no zeros have no bits.

    Attributes:
        mean_U, std_U: of the entries that are not 0.
        supports: how the bits make the support.
        varying_V: which of the U latents have bits.
        used_U: which of the D latents some code uses.
        unused_E: which no code uses.

    Examples:
        >>> codes = np.array([[3.0, 0.0, 1.0], [5.0, 0.0, 0.0]])
        >>> bits = AnalogBits.of(codes)
        >>> x_NxR = bits.encode(codes)
        >>> x_NxR.tolist()
        [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]
        >>> bits.decode(x_NxR).tolist()
        [[3.0, 0.0, 1.0], [5.0, 0.0, 0.0]]

    References:
        Chen, Zhang & Hinton, "Analog Bits: Generating Discrete Data using Diffusion Models with
        Self-Conditioning", ICLR 2023.
    """

    mean_U: Array
    std_U: Array
    supports: Supports
    varying_V: Array
    used_U: Array
    unused_E: Array

    @classmethod
    def of(cls, z_NxD: np.ndarray) -> Self:
        """The representation of latents like these.

        Raises:
            ValueError: latents that are all zero.
        """
        active_NxD = z_NxD != 0
        is_used_D = active_NxD.any(axis=0)
        if not is_used_D.any():
            raise ValueError("codes must not all be zero")
        mean_D, std_D = active_scale(z_NxD)
        places = (
            np.flatnonzero(varying(active_NxD)[is_used_D]),
            np.flatnonzero(is_used_D),
            np.flatnonzero(~is_used_D),
        )
        return cls(
            jnp.asarray(mean_D[is_used_D], jnp.float32),
            jnp.asarray(std_D[is_used_D], jnp.float32),
            Supports.of(active_NxD),
            *(jnp.asarray(x, jnp.int32) for x in places),
        )

    @property
    def size(self) -> int:
        """R, the length of x."""
        return len(self.used_U) + len(self.varying_V)

    def encode(self, z_NxD: np.ndarray) -> np.ndarray:
        """x_NxR of latents."""
        z_NxU = np.asarray(z_NxD, np.float32)[:, np.asarray(self.used_U)]
        values_NxU = (z_NxU - np.asarray(self.mean_U)) / np.asarray(self.std_U)
        values_NxU = np.where(z_NxU != 0, values_NxU, 0.0)
        bits_NxV = np.where(z_NxU[:, np.asarray(self.varying_V)] != 0, 1.0, -1.0)
        return np.concatenate([values_NxU, bits_NxV], axis=1).astype(np.float32)

    def decode(self, x_NxR: Array) -> Array:
        """Latents of any x_NxR."""
        values_NxU, bits_NxV = jnp.split(jnp.asarray(x_NxR), [len(self.used_U)], axis=1)
        z_NxU = self.mean_U[None] + self.std_U[None] * values_NxU
        active_NxU = jnp.ones(z_NxU.shape, bool)
        if len(self.varying_V):
            active_NxU = active_NxU.at[:, self.varying_V].set(self.supports.mask(bits_NxV))
        size = len(self.used_U) + len(self.unused_E)
        placed_NxD = jnp.zeros((len(z_NxU), size), jnp.float32)
        return placed_NxD.at[:, self.used_U].set(apply_mask(z_NxU, active_NxU))


def active_moments(codes_NxD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each dimension's active entries; 0 where there are none.

    Examples:
        >>> mean_D, std_D = active_moments(np.array([[1.0, 0.0], [3.0, 0.0]]))
        >>> mean_D.tolist(), std_D.tolist()
        ([2.0, 0.0], [1.0, 0.0])
    """
    codes_NxD = np.asarray(codes_NxD, np.float64)
    active_NxD = codes_NxD != 0
    count_D = np.maximum(active_NxD.sum(axis=0), 1)
    mean_D = codes_NxD.sum(axis=0) / count_D
    deviation_NxD = np.where(active_NxD, codes_NxD - mean_D, 0.0)
    return mean_D, np.sqrt(np.square(deviation_NxD).sum(axis=0) / count_D)


def active_scale(codes_NxD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`active_moments` to standardise by: the standard deviation is 1 where it would be 0.

    Examples:
        >>> active_scale(np.array([[1.0, 0.0], [3.0, 0.0]]))[1].tolist()
        [1.0, 1.0]
    """
    mean_D, std_D = active_moments(codes_NxD)
    return mean_D, np.where(std_D > 0, std_D, 1.0)
