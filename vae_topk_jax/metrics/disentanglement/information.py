"""Measures of the mutual information between each latent and each factor. NumPy, float64.

A latent is binned: `bins` intervals of equal width between its smallest and its largest value. The
estimate is that of the joint histogram, which is about (bins - 1)(values - 1) / 2N nats too high
where both are independent: N should be some thousand.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_topk_jax.metrics.disentanglement.inputs import check_count, checked

BINS = 20
LEAST_INFORMATION = 1e-12  # nats, below which there is rounding only


class Information(NamedTuple):
    """How much latents know of factors.

    Attributes:
        mutual_DxF: I(z_d; v_f) in nats; a row of zeros for a latent that does not vary.
        entropy_F: H(v_f) in nats, above 0.
    """

    mutual_DxF: NDArray[np.float64]
    entropy_F: NDArray[np.float64]


def mutual_information(
    codes_NxD: ArrayLike, factors_NxF: ArrayLike, *, bins: int = BINS
) -> Information:
    """Mutual information of each binned latent and each factor, and the factors' entropies.

        I(z; v) = sum_zv p(z, v) log(p(z, v) / (p(z) p(v)))

    Args:
        codes_NxD: latents of N examples.
        factors_NxF: values of the factors behind them, or their numbers.
        bins: intervals that the range of a latent is divided into, 2 or more.

    Raises:
        ValueError: codes and factors that do not fit together, a factor of one value, or `bins`.

    Examples:
        >>> codes, factors = [[0.0, 5.0], [0.1, 5.0], [2.0, 5.0], [2.1, 5.0]], [[0], [0], [1], [1]]
        >>> information = mutual_information(codes, factors, bins=2)
        >>> (information.mutual_DxF / np.log(2)).round(12).tolist()
        [[1.0], [0.0]]
    """
    check_count("bins", bins, 2)
    codes, factors, sizes = checked(codes_NxD, factors_NxF)
    binned_NxD = np.minimum(codes * bins, bins - 1).astype(np.intp)
    mutual_DxF = np.empty((codes.shape[1], len(sizes)))
    entropy_F = np.empty(len(sizes))
    for factor, size in enumerate(sizes):
        entropy_F[factor] = _entropy(np.bincount(factors[:, factor]))
        for latent, bin_N in enumerate(binned_NxD.T):
            joint = np.bincount(bin_N * size + factors[:, factor], minlength=bins * size)
            both = _entropy(joint)
            alone = _entropy(joint.reshape(bins, size).sum(axis=1))
            # Rounding may leave the difference of independent variables below 0.
            mutual_DxF[latent, factor] = max(0.0, alone + entropy_F[factor] - both)
    mutual_DxF[np.ptp(binned_NxD, axis=0) == 0] = 0
    return Information(mutual_DxF, entropy_F)


def mig(codes_NxD: ArrayLike, factors_NxF: ArrayLike, *, bins: int = BINS) -> float:
    """The mutual information gap: how far the best latent of a factor is ahead of the second.

        MIG = 1/F sum_f (I(z_a; v_f) - I(z_b; v_f)) / H(v_f)

    with a and b the latents that know most and second most of factor f. 1: each factor is known
    wholly by one latent, and by no other; 0: the two best latents know the same. With a single
    latent, the second knows nothing.

    Args:
        codes_NxD, factors_NxF, bins: as in `mutual_information`.

    Raises:
        ValueError: as `mutual_information`.

    Examples:
        >>> factors = np.indices((4, 4)).reshape(2, -1).T
        >>> round(mig(factors[:, ::-1], factors), 12)  # the same factors in another order
        1.0
        >>> round(mig(np.hstack([factors, factors]), factors), 12)  # each of them twice
        0.0

    References:
        Chen, Li, Grosse & Duvenaud, "Isolating Sources of Disentanglement in VAEs", NeurIPS 2018,
        equation 6. The 20 bins are those of Locatello et al., "Challenging Common Assumptions in
        the Unsupervised Learning of Disentangled Representations", ICML 2019.
    """
    mutual_DxF, entropy_F = mutual_information(codes_NxD, factors_NxF, bins=bins)
    return float((best_two_gap(mutual_DxF) / entropy_F).mean())


def modularity(codes_NxD: ArrayLike, factors_NxF: ArrayLike, *, bins: int = BINS) -> float:
    """Whether each latent knows of one factor only.

        modularity = mean over d of 1 - sum_{f != f_d} I(z_d; v_f)^2 / (I(z_d; v_{f_d})^2 (F - 1))

    with f_d the factor that latent d knows most of. 1: of one factor each. It does not ask whether
    the factors are known well, nor whether several latents know one. Latents that know nothing,
    such as dead ones, are left out of the mean; where all are like that it is 0.

    Args:
        codes_NxD, factors_NxF, bins: as in `mutual_information`.

    Raises:
        ValueError: as `mutual_information`.

    Examples:
        >>> factors = np.indices((4, 4)).reshape(2, -1).T
        >>> round(modularity(np.hstack([factors, factors]), factors), 12)
        1.0
        >>> round(modularity(factors @ [[1], [1]], factors), 12)  # a sum of both factors
        0.0

    References:
        Ridgeway & Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
        NeurIPS 2018, section 3, which does not say what a latent without information counts.
    """
    mutual_DxF = mutual_information(codes_NxD, factors_NxF, bins=bins).mutual_DxF
    squares_DxF = mutual_DxF[mutual_DxF.max(axis=1) > LEAST_INFORMATION] ** 2
    if not len(squares_DxF):
        return 0.0
    others = max(1, squares_DxF.shape[1] - 1)
    best_D = squares_DxF.max(axis=1)
    return float((1 - (squares_DxF.sum(axis=1) - best_D) / (best_D * others)).mean())


def best_two_gap(scores_DxF: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best score of each factor minus the second best, which is 0 where there is one latent.

    Examples:
        >>> best_two_gap(np.array([[3.0], [1.0], [2.5]])).tolist()
        [0.5]
    """
    ordered_DxF = np.sort(np.pad(scores_DxF, ((1, 0), (0, 0))), axis=0)
    return ordered_DxF[-1] - ordered_DxF[-2]


def _entropy(counts: NDArray[np.intp]) -> float:
    probabilities = counts[counts > 0] / counts.sum()
    return float(-(probabilities * np.log(probabilities)).sum())
