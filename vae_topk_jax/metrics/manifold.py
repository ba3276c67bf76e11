"""Precision and recall of generated images: how many look real, and how much of the real is
covered."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_topk_jax.metrics.frechet import Features

NEIGHBOURS = 3


class PrecisionRecall(NamedTuple):
    """Two shares.

    Attributes:
        precision: of generated features that lie among the real ones.
        recall: of real features that lie among the generated ones.
    """

    precision: float
    recall: float


def precision_recall(
    real: ArrayLike | Features, generated: ArrayLike | Features, neighbours: int = NEIGHBOURS
) -> PrecisionRecall:
    """Precision and recall by balls around features.

    A feature lies among those of a set if it is in the ball around one of them whose radius is the
    distance to that one's k-th nearest neighbour in the set.

    Args:
        real: features (N, F) of real images.
        generated: features (M, F) of generated ones.
        neighbours: k.

    Raises:
        ValueError: as `Features`, different F, or k outside [1, N) or [1, M).

    Examples:
        >>> real = [[0.0], [1.0], [2.0], [10.0], [11.0]]
        >>> precision_recall(real, [[0.5], [1.5], [5.0]], neighbours=1)
        PrecisionRecall(precision=0.6666666666666666, recall=0.6)

    References:
        Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models",
        NeurIPS 2019, with k = 3.
    """
    a, b = (
        x if isinstance(x, Features) else Features(x, name)
        for name, x in (("real", real), ("generated", generated))
    )
    if a.x_NxF.shape[1] != b.x_NxF.shape[1]:
        raise ValueError(
            f"generated must have as many features as real, {a.x_NxF.shape[1]}, "
            f"got {b.x_NxF.shape[1]}"
        )
    if not 1 <= neighbours < min(len(a), len(b)):
        raise ValueError(f"neighbours must lie in [1, {min(len(a), len(b)) - 1}], got {neighbours}")
    return PrecisionRecall(_covered(a, b, neighbours), _covered(b, a, neighbours))


def _covered(balls: Features, points: Features, neighbours: int) -> float:
    """The share of the points that are in some ball."""
    radius_N = np.concatenate(
        [
            np.partition(_squared(rows, balls.x_NxF), neighbours, axis=1)[:, neighbours]
            for rows in balls.blocks()
        ]
    )
    inside = [np.any(_squared(rows, balls.x_NxF) <= radius_N, axis=1) for rows in points.blocks()]
    return float(np.mean(np.concatenate(inside)))


def _squared(x_BxF: NDArray[np.float64], y_NxF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances; that of a row to itself is its smallest."""
    size_Bx1 = np.sum(np.square(x_BxF), axis=1)[:, None]
    return np.maximum(size_Bx1 + np.sum(np.square(y_NxF), axis=1) - 2 * x_BxF @ y_NxF.T, 0.0)
