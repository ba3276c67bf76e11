"""How much of the variance of some vectors a model of them explains."""

import numpy as np
from numpy.typing import ArrayLike


def explained_variance(x: ArrayLike, x_hat: ArrayLike) -> float:
    """The fraction of the variance over examples that the reconstructions explain.

        1 - sum |x_n - x_hat_n|^2 / sum |x_n - mean x|^2

    1 for perfect reconstructions, 0 for the mean of all examples, less for worse.

    Args:
        x: N examples of any one shape; their values count as one vector.
        x_hat: of the same shape.

    Raises:
        ValueError: shapes that differ, or examples that do not vary.

    Examples:
        >>> explained_variance([[0.0], [2.0]], [[0.5], [1.5]])
        0.75
    """
    x, x_hat = np.asarray(x, np.float64), np.asarray(x_hat, np.float64)
    if x.shape != x_hat.shape:
        raise ValueError(f"x_hat must have the shape of x, {x.shape}, got {x_hat.shape}")
    variance = np.square(x - x.mean(axis=0)).sum() if x.size else 0.0
    if not variance > 0:
        raise ValueError(f"x must vary from example to example, got {len(x)} equal ones")
    return float(1.0 - np.square(x - x_hat).sum() / variance)
