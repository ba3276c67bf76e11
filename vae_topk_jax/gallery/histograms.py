"""A histogram for every latent, whose bins grow with the values that come. NumPy."""

import numpy as np
from numpy.typing import NDArray

_BITS = 5
SIDE = 1 << _BITS  # bins on each side of zero
_SMALLEST = -40  # exponent of the finest scale


class Histograms:
    """Counts of the values of each latent in 64 bins of one width, zero at an edge.

    The width is 2^e / 32, with e the smallest for which every value lies within (-2^e, 2^e). Bins
    are merged in pairs as larger values come, which is exact: the counts depend on the values
    alone, not on the chunks in which they come.

    Args:
        latents: D.

    Examples:
        >>> histograms = Histograms(latents=1)
        >>> histograms.add(np.array([0, 0]), np.array([0.2, 0.9]))
        >>> histograms.add(np.array([0]), np.array([-1.5]))
        >>> edges, counts = histograms.of(0)
        >>> edges.tolist(), counts[counts > 0].tolist()
        ([-1.5, 0.9375], [1, 1, 1])
    """

    def __init__(self, latents: int):
        self._counts_DxB = np.zeros((latents, 2 * SIDE), np.int64)
        self._exponent_D = np.full(latents, _SMALLEST)

    def add(self, latent_E: NDArray, value_E: NDArray) -> None:
        """Counts more values, finite and not zero, of the latents beside them."""
        value_E = np.asarray(value_E, np.float64)
        _, exponent_E = np.frexp(value_E)
        needed_D = self._exponent_D.copy()
        np.maximum.at(needed_D, latent_E, exponent_E)
        self._widen(needed_D)
        bins_E = np.floor(np.ldexp(value_E, _BITS - needed_D[latent_E])).astype(np.int64) + SIDE
        flat_E = latent_E * (2 * SIDE) + bins_E
        self._counts_DxB += np.bincount(flat_E, minlength=self._counts_DxB.size).reshape(
            self._counts_DxB.shape
        )

    def of(self, latent: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The outer edges and the counts of the bins from the first to the last that holds a value;
        no counts where there is none."""
        counts_B = self._counts_DxB[latent]
        filled = np.flatnonzero(counts_B)
        if not len(filled):
            return np.zeros(2), counts_B[:0]
        first, last = filled[0], filled[-1] + 1
        edges = np.ldexp(
            np.array([first - SIDE, last - SIDE], float), self._exponent_D[latent] - _BITS
        )
        return edges, counts_B[first:last]

    def _widen(self, exponent_D: NDArray) -> None:
        for d in np.flatnonzero(exponent_D > self._exponent_D):
            shift = min(int(exponent_D[d] - self._exponent_D[d]), _BITS + 1)
            merged = ((np.arange(2 * SIDE) - SIDE) >> shift) + SIDE
            counts_B = np.bincount(merged, self._counts_DxB[d], minlength=2 * SIDE)
            self._counts_DxB[d] = counts_B.astype(np.int64)
        self._exponent_D = exponent_D
