"""The few largest entries of every latent, kept while inputs stream by. NumPy."""

import numpy as np
from numpy.typing import NDArray


class Ranking:
    """The n entries of the largest key of each latent, ties to the smaller example.

    What is kept depends on the entries alone, not on the chunks in which they come.

    Args:
        latents: D.
        n: how many entries of each.

    Examples:
        >>> ranking = Ranking(latents=2, n=1)
        >>> ranking.add(np.array([0, 1]), np.array([7, 7]), np.array([0.5, 2.0]), np.array([1, 2]))
        >>> ranking.add(np.array([0]), np.array([8]), np.array([0.9]), np.array([3]))
        >>> [found.tolist() for found in ranking.of(0)], [found.tolist() for found in ranking.of(1)]
        ([[8], [3.0]], [[7], [2.0]])
    """

    def __init__(self, latents: int, n: int):
        self._latents, self._n = latents, n
        self._latent_E = np.zeros(0, np.int64)
        self._example_E = np.zeros(0, np.int64)
        self._key_E = np.zeros(0, np.float64)
        self._value_E = np.zeros(0, np.float64)
        self._start_D = np.zeros(latents + 1, np.int64)

    def add(self, latent_E: NDArray, example_E: NDArray, key_E: NDArray, value_E: NDArray) -> None:
        """Takes more entries.

        Args:
            latent_E, example_E: where each stands in the codes.
            key_E: what ranks it.
            value_E: what is kept of it.
        """
        latent_E = np.concatenate([self._latent_E, latent_E])
        example_E = np.concatenate([self._example_E, example_E])
        key_E = np.concatenate([self._key_E, key_E])
        value_E = np.concatenate([self._value_E, value_E])
        order = np.lexsort((example_E, -key_E, latent_E))
        sorted_E = latent_E[order]
        rank_E = np.arange(len(order)) - np.searchsorted(sorted_E, sorted_E)
        kept = order[rank_E < self._n]
        self._latent_E, self._example_E = latent_E[kept], example_E[kept]
        self._key_E, self._value_E = key_E[kept], value_E[kept]
        self._start_D = np.searchsorted(self._latent_E, np.arange(self._latents + 1))

    def of(self, latent: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(example_N, value_N) of one latent, the largest key first."""
        inside = slice(*self._start_D[latent : latent + 2])
        return self._example_E[inside], self._value_E[inside]
