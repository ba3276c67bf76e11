"""Which latents are active together, counted while inputs stream by. NumPy and SciPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_DENSE = 1 / 16  # of the entries active, from which on a product of matrices is faster


class CoActivation:
    """In how many inputs each pair of latents is active.

    Takes memory for the pairs that occur, of D^2 at most.

    Args:
        latents: D.

    Examples:
        >>> both = CoActivation(latents=3)
        >>> both.add(np.array([[True, True, False], [True, False, False]]))
        >>> both.jaccard(0).tolist()
        [1.0, 0.5, 0.0]
    """

    def __init__(self, latents: int):
        self._both_DxD: Any = csr_array((latents, latents), dtype=np.int64)
        self._count_D = np.zeros(latents, np.int64)

    def add(self, active_NxD: NDArray[np.bool_]) -> None:
        """Counts more inputs."""
        self._count_D += active_NxD.sum(axis=0)
        if isinstance(self._both_DxD, np.ndarray) or active_NxD.mean() > _DENSE:
            active = active_NxD.astype(np.float32)  # exact: a chunk has far fewer than 2^24 inputs
            if not isinstance(self._both_DxD, np.ndarray):
                self._both_DxD = self._both_DxD.toarray()
            self._both_DxD += (active.T @ active).astype(np.int64)
        else:
            sparse = csr_array(active_NxD.astype(np.int32))
            self._both_DxD = self._both_DxD + sparse.T @ sparse

    def jaccard(self, latent: int) -> NDArray[np.float64]:
        """share_D: of the inputs that activate this latent or the other one, those that activate
        both; 0 where there are none."""
        row = self._both_DxD[[latent]]
        both_D = row[0] if isinstance(row, np.ndarray) else row.toarray()[0]
        either_D = self._count_D + self._count_D[latent] - both_D
        return both_D / np.maximum(either_D, 1)
