"""How much of the variance of some vectors a model of them explains, and how much it leaves."""

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
    return 1.0 - normalized_mse(x, x_hat)


def normalized_mse(x: ArrayLike, x_hat: ArrayLike) -> float:
    """The mean squared error over that of the mean of all examples (NMSE).

        sum |x_n - x_hat_n|^2 / sum |x_n - mean x|^2

    0 for perfect reconstructions, 1 for the mean of all examples. It is the "normalized MSE" of Gao
    et al., and the fraction of variance unexplained; 1 minus it is the explained variance.
    The code of Gao et al. trains with another one: the mean over examples of
    |x_n - x_hat_n|^2 / |x_n|^2.

    Args:
        x: N examples of any one shape; their values count as one vector.
        x_hat: of the same shape.

    Raises:
        ValueError: shapes that differ, or examples that do not vary.

    Examples:
        >>> normalized_mse([[0.0], [2.0]], [[0.5], [1.5]])
        0.25

    References:
        Gao et al., "Scaling and evaluating sparse autoencoders", 2024, section 2.
    """
    x, x_hat = np.asarray(x, np.float64), np.asarray(x_hat, np.float64)
    if x.shape != x_hat.shape:
        raise ValueError(f"x_hat must have the shape of x, {x.shape}, got {x_hat.shape}")
    variance = np.square(x - x.mean(axis=0)).sum() if x.size else 0.0
    if not variance > 0:
        raise ValueError(f"x must vary from example to example, got {len(x)} equal ones")
    return float(np.square(x - x_hat).sum() / variance)
