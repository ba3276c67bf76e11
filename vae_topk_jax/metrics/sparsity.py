"""How sparse codes are, and how much of the latent space they use. NumPy, float64."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_SHARE = 1e-3  # of the images; a dimension that is active in fewer is not in use
LEAST_VARIANCE = 1e-2


def sparsity_metrics(codes_NxD: ArrayLike) -> dict[str, float]:
    """All measures of this file, under the names that we print.

    Examples:
        >>> sparsity_metrics([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
        {'active_latents': 1.0, 'active_dims': 2, 'hoyer': 1.0, 'active_units': 2}
    """
    return {
        "active_latents": active_latents(codes_NxD),
        "active_dims": len(dims_in_use(codes_NxD)),
        "hoyer": hoyer(codes_NxD),
        "active_units": active_units(codes_NxD),
    }


def active_latents(codes_NxD: ArrayLike) -> float:
    """The mean number of entries of a code that are not zero.

    Examples:
        >>> active_latents([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0]])
        1.5
    """
    return float(np.mean(np.count_nonzero(_check(codes_NxD), axis=1)))


def dims_in_use(codes_NxD: ArrayLike) -> NDArray[np.intp]:
    """The dimensions that are not zero in at least one code of 1,000, ascending.

    Examples:
        >>> dims_in_use([[1.0, 0.0, 0.0], [0.5, 0.0, 2.0]]).tolist()
        [0, 2]
    """
    return np.flatnonzero(np.mean(_check(codes_NxD) != 0, axis=0) >= LEAST_SHARE)


def hoyer(codes_NxD: ArrayLike) -> float:
    """The mean Hoyer sparsity of the codes over their standard deviations.

        mean over n of (sqrt(D) - |y_n|_1 / |y_n|_2) / (sqrt(D) - 1),    y_nd = z_nd / std_d

    0 where all entries are equally large, 1 where one alone is not zero. Without the division one
    large dimension among small ones would pass for sparsity. A dimension that never varies counts
    as zero, and a code that is all zeros as 1.

    Raises:
        ValueError: as for all of this file, and D = 1, for which it is not defined.

    Examples:
        >>> round(hoyer([[1.0, 1.0], [-1.0, -1.0]]), 6)
        0.0
        >>> hoyer([[1.0, 0.0], [0.0, 7.0]])
        1.0

    References:
        Hoyer, "Non-negative Matrix Factorization with Sparseness Constraints", JMLR 2004; Hurley &
        Rickard, "Comparing Measures of Sparsity", 2009. Normalised as by Mathieu et al.,
        "Disentangling Disentanglement in Variational Autoencoders", ICML 2019, eq. 11.
    """
    codes_NxD = _check(codes_NxD)
    if codes_NxD.shape[1] < 2:
        raise ValueError("codes must have two dimensions or more for the Hoyer sparsity, got 1")
    std_D = codes_NxD.std(axis=0)
    varies_D = std_D > 1e-12 * np.abs(codes_NxD).max(axis=0)
    scaled_NxD = np.where(varies_D, codes_NxD / np.where(varies_D, std_D, 1.0), 0.0)
    length_N = np.linalg.norm(scaled_NxD, axis=1)
    ratio_N = np.abs(scaled_NxD).sum(axis=1) / np.where(length_N > 0, length_N, 1.0)
    root = np.sqrt(codes_NxD.shape[1])
    sparsity_N = np.where(length_N > 0, (root - ratio_N) / (root - 1.0), 1.0)
    return float(np.clip(np.mean(sparsity_N), 0.0, 1.0))


def active_units(mu_NxD: ArrayLike) -> int:
    """The number of dimensions whose posterior mean varies over the images: Var(mu_d) > 0.01.

    The threshold is absolute, so it means something for codes whose prior has unit variance.

    Examples:
        >>> active_units([[1.0, 0.05], [-1.0, -0.05]])
        1

    References:
        Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, section 5.
    """
    return int(np.sum(np.var(_check(mu_NxD), axis=0) > LEAST_VARIANCE))


def support_differences(drawn_NxD: ArrayLike, codes_MxD: ArrayLike) -> dict[str, float]:
    """How far the supports of drawn codes are from those of images.

    Returns:
        {"frequency_difference": the largest difference of how often a latent is active, in points,
        "coactivation_correlation": over all pairs of latents in use, Pearson's correlation of how
        often both are active, 1 where there are fewer than two pairs or they are all alike}.

    Raises:
        ValueError: as for all of this file, and different D.

    Examples:
        >>> codes = [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]
        >>> support_differences([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0]], codes)["frequency_difference"]
        50.0
        >>> round(support_differences(codes, codes)["coactivation_correlation"], 6)
        1.0
    """
    drawn, codes = ((_check(x) != 0).astype(np.float32) for x in (drawn_NxD, codes_MxD))
    if drawn.shape[1] != codes.shape[1]:
        raise ValueError(f"codes must have D = {drawn.shape[1]} as those drawn, got {codes.shape}")
    is_used_D = drawn.any(axis=0) | codes.any(axis=0)
    both = [
        (x[:, is_used_D].T @ x[:, is_used_D]).astype(np.float64) / len(x) for x in (drawn, codes)
    ]
    pairs = [x[np.triu_indices(len(x), 1)] for x in both]
    varies = len(pairs[0]) > 1 and all(np.ptp(x) > 0 for x in pairs)
    return {
        "frequency_difference": float(100 * np.max(np.abs(drawn.mean(0) - codes.mean(0)))),
        "coactivation_correlation": float(np.corrcoef(*pairs)[0, 1]) if varies else 1.0,
    }


def _check(codes: ArrayLike) -> NDArray[np.float64]:
    codes_NxD = np.asarray(codes, np.float64)
    if codes_NxD.ndim != 2 or 0 in codes_NxD.shape:
        raise ValueError(f"codes must be (N, D), one row or more, got shape {codes_NxD.shape}")
    if not np.isfinite(codes_NxD).all():
        count = int(np.sum(~np.isfinite(codes_NxD)))
        raise ValueError(f"codes must be finite, got {count} NaN or infinite values")
    return codes_NxD
