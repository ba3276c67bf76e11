"""How far apart two clouds of features are: Frechet distance and kernel distance.

NumPy and float64 on purpose: both are small differences of large numbers. On the features of our
own digit classifier (`vae_topk_jax.metrics.probe`) the results are called FID-clf and KID-clf: they
are not comparable with an Inception FID, and must never be printed as "FID".
"""

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 1024  # rows of a kernel block: 8 MB of float64


class Features:
    """Features of one set of images. What the distances need of them alone is computed once, for
    a set that many others are compared with.

    Attributes:
        x_NxF: features, N >= 2.
        name: what an error calls them.

    Raises:
        ValueError: a shape that is not (rows, F), fewer than two rows, NaN or inf.

    Examples:
        >>> Features([[0.0], [2.0]]).mean_F
        array([1.])
    """

    def __init__(self, x_NxF: ArrayLike, name: str = "features"):
        self.x_NxF = np.asarray(x_NxF, np.float64)
        if self.x_NxF.ndim != 2 or len(self.x_NxF) < 2 or self.x_NxF.shape[1] < 1:
            raise ValueError(
                f"{name} must be features (rows, F), two rows or more, got shape {self.x_NxF.shape}"
            )
        if not np.isfinite(self.x_NxF).all():
            count = int(np.sum(~np.isfinite(self.x_NxF)))
            raise ValueError(f"{name} must be finite, got {count} NaN or infinite values")

    def __len__(self) -> int:
        """N."""
        return len(self.x_NxF)

    @functools.cached_property
    def mean_F(self) -> NDArray[np.float64]:
        """Their mean."""
        return self.x_NxF.mean(axis=0)

    @functools.cached_property
    def covariance_FxF(self) -> NDArray[np.float64]:
        """Their unbiased covariance."""
        return np.cov(self.x_NxF, rowvar=False).reshape(2 * self.x_NxF.shape[1:])

    @functools.cached_property
    def mean_kernel(self) -> float:
        """Mean kernel of two different rows; it is symmetric, so half of the blocks suffice."""
        blocks = list(self.blocks())
        upper = sum(_block_sum(a, b) for i, a in enumerate(blocks) for b in blocks[i + 1 :])
        within = sum(_block_sum(rows, rows) for rows in blocks)
        diagonal = np.sum((np.mean(self.x_NxF**2, axis=1) + 1) ** 3)
        return (2 * upper + within - float(diagonal)) / (len(self) * (len(self) - 1))

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """So many rows at a time that a block of the kernel stays small."""
        return (self.x_NxF[start : start + BLOCK] for start in range(0, len(self), BLOCK))


def feature_distances(a_NxF: ArrayLike | Features, b_MxF: ArrayLike | Features) -> dict[str, float]:
    """Both distances between two sets of classifier features, under the names that we print.

    Args:
        a_NxF: features of one set of images, N >= 2.
        b_MxF: features of the other, M >= 2.

    Returns:
        {"fid_clf": the Frechet distance, "kid_clf": the kernel distance}.

    Raises:
        ValueError: as `frechet_distance`.

    Examples:
        >>> feature_distances([[0.0], [2.0]], [[3.0], [5.0]])
        {'fid_clf': 9.0, 'kid_clf': 3259.0}
    """
    a, b = _pair(a_NxF, b_MxF)
    return {"fid_clf": frechet_distance(a, b), "kid_clf": kernel_distance(a, b)}


def frechet_distance(a_NxF: ArrayLike | Features, b_MxF: ArrayLike | Features) -> float:
    """Squared Frechet distance between the Gaussians fitted to two sets of features.

        |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)

    with means m and unbiased covariances C. The product under the root is symmetric and positive
    semi-definite, so its root comes from a symmetric eigen-decomposition: no complex residue, and
    covariances of any rank are welcome (fewer rows than features, constant features).

    Args:
        a_NxF: features of one set, N >= 2.
        b_MxF: features of the other, M >= 2.

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
    a, b = _pair(a_NxF, b_MxF)
    root_FxF = _root(a.covariance_FxF)
    eigenvalues_F = np.linalg.eigvalsh(root_FxF @ b.covariance_FxF @ root_FxF)
    distance = (
        np.sum((a.mean_F - b.mean_F) ** 2)
        + np.trace(a.covariance_FxF)
        + np.trace(b.covariance_FxF)
        - 2 * np.sum(np.sqrt(np.maximum(eigenvalues_F, 0)))
    )
    return max(float(distance), 0.0)


def kernel_distance(a_NxF: ArrayLike | Features, b_MxF: ArrayLike | Features) -> float:
    """Kernel distance: the unbiased squared MMD with the kernel k(x, y) = (x.y / F + 1)^3.

        mean over i != j of k(a_i, a_j) + mean over i != j of k(b_i, b_j)
            - 2 mean over i, j of k(a_i, b_j)

    Being unbiased, it is about 0 for two samples of one distribution, and may be negative. It runs
    over all pairs, block by block, instead of averaging random subsets as is often done: the result
    is deterministic and memory does not grow with the number of pairs.

    Args:
        a_NxF: features of one set, N >= 2.
        b_MxF: features of the other, M >= 2.

    Returns:
        The squared distance.

    Raises:
        ValueError: as `frechet_distance`.

    Examples:
        >>> kernel_distance([[0.0], [0.0]], [[1.0], [1.0]])  # 1 + 8 - 2 * 1
        7.0

    References:
        Binkowski et al., "Demystifying MMD GANs", ICLR 2018 (arXiv:1801.01401).
    """
    a, b = _pair(a_NxF, b_MxF)
    between = sum(_block_sum(x_BxF, y_BxF) for x_BxF in a.blocks() for y_BxF in b.blocks())
    return float(a.mean_kernel + b.mean_kernel - 2 * between / (len(a) * len(b)))


def _root(covariance_FxF: NDArray[np.float64]) -> NDArray[np.float64]:
    eigenvalues_F, vectors_FxF = np.linalg.eigh(covariance_FxF)
    return (vectors_FxF * np.sqrt(np.maximum(eigenvalues_F, 0))) @ vectors_FxF.T


def _block_sum(x_BxF: NDArray[np.float64], y_BxF: NDArray[np.float64]) -> float:
    base_BxB = x_BxF @ y_BxF.T
    base_BxB /= x_BxF.shape[1]
    base_BxB += 1
    return float(np.vdot(base_BxB * base_BxB, base_BxB))


def _pair(a: ArrayLike | Features, b: ArrayLike | Features) -> tuple[Features, Features]:
    a, b = (x if isinstance(x, Features) else Features(x, name) for name, x in (("a", a), ("b", b)))
    if a.x_NxF.shape[1] != b.x_NxF.shape[1]:
        raise ValueError(
            f"b must have as many features as a, {a.x_NxF.shape[1]}, got {b.x_NxF.shape[1]}"
        )
    return a, b
