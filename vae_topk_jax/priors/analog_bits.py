"""Sparse codes as dense vectors, from which they are had back with exact zeros."""

from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.supports import Supports
from vae_topk_jax.selection import apply_mask


class AnalogBits(NamedTuple):
    """A code as the standardised values of its latents, and a bit of +-1 for each: active or not.

        x = [(z - mean) / std, b],    b_d = 1 if z_d != 0 else -1

    with the mean and the standard deviation of a latent's active entries; the value of an entry
    that is not active is 0. Latents that no code uses are left out. Any x gives a code back: its
    support is that of the positive bits or, where all codes have K active latents, of the K
    largest.

    Attributes:
        mean_U, std_U: of the active entries.
        supports: how the bits make the support.
        used_U: which latents some code uses.
        unused_E: which no code uses.

    Examples:
        >>> codes = np.array([[3.0, 0.0, 1.0], [5.0, 0.0, 0.0]])
        >>> bits = AnalogBits.of(codes)
        >>> x_NxR = bits.encode(codes)
        >>> x_NxR.tolist()
        [[-1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, -1.0]]
        >>> bits.decode(x_NxR).tolist()
        [[3.0, 0.0, 1.0], [5.0, 0.0, 0.0]]

    References:
        Chen, Zhang & Hinton, "Analog Bits: Generating Discrete Data using Diffusion Models with
        Self-Conditioning", ICLR 2023.
    """

    mean_U: Array
    std_U: Array
    supports: Supports
    used_U: Array
    unused_E: Array

    @classmethod
    def of(cls, codes_NxD: np.ndarray) -> Self:
        """The representation of codes like these.

        Raises:
            ValueError: codes that are all zero.
        """
        codes_NxD = np.asarray(codes_NxD, np.float64)
        is_used_D = np.any(codes_NxD != 0, axis=0)
        if not is_used_D.any():
            raise ValueError("codes must not all be zero")
        used_U, unused_E = np.flatnonzero(is_used_D), np.flatnonzero(~is_used_D)
        mean_U, std_U = active_moments(codes_NxD[:, used_U])
        active_NxD = codes_NxD != 0
        supports = Supports.of(active_NxD)
        return cls(
            jnp.asarray(mean_U, jnp.float32),
            jnp.asarray(np.where(std_U > 0, std_U, 1.0), jnp.float32),
            Supports(supports.group_D[used_U], supports.count_D[used_U]),
            jnp.asarray(used_U, jnp.int32),
            jnp.asarray(unused_E, jnp.int32),
        )

    @property
    def size(self) -> int:
        """R, the length of x."""
        return 2 * len(self.used_U)

    def encode(self, codes_NxD: np.ndarray) -> np.ndarray:
        """x_NxR of codes."""
        codes_NxU = np.asarray(codes_NxD, np.float32)[:, np.asarray(self.used_U)]
        active_NxU = codes_NxU != 0
        values_NxU = (codes_NxU - np.asarray(self.mean_U)) / np.asarray(self.std_U)
        values_NxU = np.where(active_NxU, values_NxU, 0.0)
        bits_NxU = np.where(active_NxU, 1.0, -1.0)
        return np.concatenate([values_NxU, bits_NxU], axis=1).astype(np.float32)

    def decode(self, x_NxR: Array) -> Array:
        """Codes of any x_NxR."""
        values_NxU, bits_NxU = jnp.split(x_NxR, 2, axis=1)
        codes_NxU = self.mean_U[None] + self.std_U[None] * values_NxU
        codes_NxU = apply_mask(codes_NxU, self.supports.mask(bits_NxU))
        size = len(self.used_U) + len(self.unused_E)
        return jnp.zeros((len(x_NxR), size), jnp.float32).at[:, self.used_U].set(codes_NxU)


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
