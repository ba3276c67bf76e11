"""The nearest of many images."""

import numpy as np


def nearest(x_NxP: np.ndarray, bank_MxP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the index of the nearest row of the bank, and the squared distance.

    Examples:
        >>> index_N, squared_N = nearest(np.array([[0.75], [9.0]]), np.array([[8.0], [1.0]]))
        >>> index_N.tolist(), squared_N.tolist()
        ([1, 0], [0.0625, 1.0])
    """
    square_M = np.sum(np.square(bank_MxP), axis=1)
    index, distance = [], []
    for rows in np.array_split(x_NxP, max(1, len(x_NxP) // 500)):
        relative_BxM = square_M - 2 * rows @ bank_MxP.T
        best_B = relative_BxM.argmin(axis=1)
        index.append(best_B)
        own_B = np.sum(np.square(rows), axis=1)
        distance.append(relative_BxM[np.arange(len(rows)), best_B] + own_B)
    return np.concatenate(index), np.concatenate(distance)
