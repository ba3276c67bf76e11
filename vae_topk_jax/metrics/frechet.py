"""How far apart two clouds of features are: Frechet distance and kernel distance.

NumPy and float64 on purpose: both are small differences of large numbers. On the features of our
own digit classifier (`vae_topk_jax.metrics.probe`) the results are called FID-clf and KID-clf: they
are not comparable with an Inception FID, and must never be printed as "FID".
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 1024  # rows of a kernel block: 8 MB of float64


def feature_distances(a_NxF: ArrayLike, b_MxF: ArrayLike) -> dict[str, float]:
    """Both distances between two sets of classifier features, under the names that we print.

    Args:
        a_NxF: Features of one set of images, N >= 2.
        b_MxF: Features of the other, M >= 2.

    Returns:
        {"fid_clf": the Frechet distance, "kid_clf": the kernel distance}.

    Raises:
        ValueError: As `frechet_distance`.

    Examples:
        >>> feature_distances([[0.0], [2.0]], [[3.0], [5.0]])
        {'fid_clf': 9.0, 'kid_clf': 3259.0}
    """
    return {"fid_clf": frechet_distance(a_NxF, b_MxF), "kid_clf": kernel_distance(a_NxF, b_MxF)}


def frechet_distance(a_NxF: ArrayLike, b_MxF: ArrayLike) -> float:
    """Squared Frechet distance between the Gaussians fitted to two sets of features.

        |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)

    with means m and unbiased covariances C. The product under the root is symmetric and positive
    semi-definite, so its root comes from a symmetric eigen-decomposition: no complex residue, and
    covariances of any rank are welcome (fewer rows than features, constant features).

    Args:
        a_NxF: Features of one set, N >= 2.
        b_MxF: Features of the other, M >= 2.

    Returns:
        The distance, never negative; 0 for equal means and covariances, up to rounding.

    Raises:
        ValueError: A shape that is not (rows, F), fewer than two rows, different F, NaN or inf.

    Examples:
        >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])  # equal covariances, means 3 apart
        9.0

    References:
        Dowson & Landau, "The Frechet distance between multivariate normal distributions", 1982.
        Heusel et al., "GANs trained by a two time-scale update rule", 2017 (arXiv:1706.08500).
    """
    a_NxF, b_MxF = _check(a_NxF, b_MxF)
    mean_a_F, covariance_a_FxF = _gaussian(a_NxF)
    mean_b_F, covariance_b_FxF = _gaussian(b_MxF)
    root_FxF = _root(covariance_a_FxF)
    eigenvalues_F = np.linalg.eigvalsh(root_FxF @ covariance_b_FxF @ root_FxF)
    distance = (
        np.sum((mean_a_F - mean_b_F) ** 2)
        + np.trace(covariance_a_FxF)
        + np.trace(covariance_b_FxF)
        - 2 * np.sum(np.sqrt(np.maximum(eigenvalues_F, 0)))
    )
    return max(float(distance), 0.0)


def kernel_distance(a_NxF: ArrayLike, b_MxF: ArrayLike) -> float:
    """Kernel distance: the unbiased squared MMD with the kernel k(x, y) = (x.y / F + 1)^3.

        mean over i != j of k(a_i, a_j) + mean over i != j of k(b_i, b_j)
            - 2 mean over i, j of k(a_i, b_j)

    Being unbiased, it is about 0 for two samples of one distribution, and may be negative. It runs
    over all pairs, block by block, instead of averaging random subsets as is often done: the result
    is deterministic and memory does not grow with the number of pairs.

    Args:
        a_NxF: Features of one set, N >= 2.
        b_MxF: Features of the other, M >= 2.

    Returns:
        The squared distance.

    Raises:
        ValueError: As `frechet_distance`.

    Examples:
        >>> kernel_distance([[0.0], [0.0]], [[1.0], [1.0]])  # 1 + 8 - 2 * 1
        7.0

    References:
        Binkowski et al., "Demystifying MMD GANs", ICLR 2018 (arXiv:1801.01401).
    """
    a_NxF, b_MxF = _check(a_NxF, b_MxF)
    n, m = len(a_NxF), len(b_MxF)
    return float(
        _kernel_sum_off_diagonal(a_NxF) / (n * (n - 1))
        + _kernel_sum_off_diagonal(b_MxF) / (m * (m - 1))
        - 2 * _kernel_sum(a_NxF, b_MxF) / (n * m)
    )


def _gaussian(x_NxF: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return x_NxF.mean(axis=0), np.cov(x_NxF, rowvar=False).reshape(2 * x_NxF.shape[1:])


def _root(covariance_FxF: NDArray[np.float64]) -> NDArray[np.float64]:
    eigenvalues_F, vectors_FxF = np.linalg.eigh(covariance_FxF)
    return (vectors_FxF * np.sqrt(np.maximum(eigenvalues_F, 0))) @ vectors_FxF.T


def _kernel_sum(x_NxF: NDArray[np.float64], y_MxF: NDArray[np.float64]) -> float:
    return sum(_block_sum(x_BxF, y_BxF) for x_BxF in _blocks(x_NxF) for y_BxF in _blocks(y_MxF))


def _kernel_sum_off_diagonal(x_NxF: NDArray[np.float64]) -> float:
    """Sum of k(x_i, x_j) over i != j: the kernel is symmetric, half of the blocks are enough."""
    blocks = _blocks(x_NxF)
    upper = sum(
        _block_sum(rows, columns) for i, rows in enumerate(blocks) for columns in blocks[i + 1 :]
    )
    within = sum(_block_sum(rows, rows) for rows in blocks)
    diagonal = np.sum((np.mean(x_NxF**2, axis=1) + 1) ** 3)
    return 2 * upper + within - float(diagonal)


def _blocks(x_NxF: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [x_NxF[start : start + BLOCK] for start in range(0, len(x_NxF), BLOCK)]


def _block_sum(x_BxF: NDArray[np.float64], y_BxF: NDArray[np.float64]) -> float:
    base_BxB = x_BxF @ y_BxF.T
    base_BxB /= x_BxF.shape[1]
    base_BxB += 1
    return float(np.vdot(base_BxB * base_BxB, base_BxB))


def _check(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a_NxF, b_MxF = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for name, features in (("a", a_NxF), ("b", b_MxF)):
        if features.ndim != 2 or len(features) < 2 or features.shape[1] < 1:
            raise ValueError(
                f"{name} must be features (rows, F), two rows or more, got shape {features.shape}"
            )
        if not np.isfinite(features).all():
            count = int(np.sum(~np.isfinite(features)))
            raise ValueError(f"{name} must be finite, got {count} NaN or infinite values")
    if a_NxF.shape[1] != b_MxF.shape[1]:
        raise ValueError(
            f"b must have as many features as a, {a_NxF.shape[1]}, got {b_MxF.shape[1]}"
        )
    return a_NxF, b_MxF
