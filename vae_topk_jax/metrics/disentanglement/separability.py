"""Measures of what simple predictors tell of each factor. NumPy, float64."""

from collections.abc import Collection

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_topk_jax.metrics.disentanglement.information import best_two_gap
from vae_topk_jax.metrics.disentanglement.inputs import checked, split, to_unit_range


def sap(
    codes_NxD: ArrayLike, factors_NxF: ArrayLike, *, categorical: Collection[int] = ()
) -> float:
    """The separated attribute predictability: how far the best latent predicts a factor better than
    the second best.

        SAP = 1/F sum_f (S_af - S_bf)

    with a and b the latents that score best and second best for factor f. S_df is the R^2 of the
    linear regression of the factor on the latent, their squared correlation. Of a categorical
    factor it is the accuracy, each class weighing the same, of at most C - 1 thresholds of the
    latent for C classes, found greedily as a decision tree; a latent that tells nothing has 1 / C
    there. Both are of the examples that were fitted. A latent that does not vary has R^2 = 0, and
    with a single latent the second scores 0.

    Args:
        codes_NxD: latents of N examples.
        factors_NxF: values of the factors behind them; R^2 takes them as they are.
        categorical: the columns of factors whose values have no order, such as shapes.

    Raises:
        ValueError: codes and factors that do not fit together, a factor of one value, or a column
            in `categorical` that there is not.

    Examples:
        >>> factors = np.indices((4, 4)).reshape(2, -1).T
        >>> round(sap(factors, factors), 12)
        1.0
        >>> round(sap(factors, factors, categorical=[0]), 12)  # chance is 1/4 of factor 0
        0.875

    References:
        Kumar, Sattigeri & Balakrishnan, "Variational Inference of Disentangled Latent Concepts from
        Unlabeled Observations", ICLR 2018, section 3, where the latents of a variance below 0.05
        score 0: here a scale does not matter.
    """
    codes, numbers, sizes = checked(codes_NxD, factors_NxF)
    values_NxF = to_unit_range(factors_NxF)
    if unknown := {*categorical} - {*range(len(sizes))}:
        raise ValueError(
            f"categorical must name columns in [0, {len(sizes)}), got {sorted(unknown)}"
        )
    scores_DxF = _squared_correlations(codes, values_NxF)
    for factor in categorical:
        for latent, code_N in enumerate(codes.T):
            scores_DxF[latent, factor] = _by_thresholds(code_N, numbers[:, factor], sizes[factor])
    return float(best_two_gap(scores_DxF).mean())


def explicitness(codes_NxD: ArrayLike, factors_NxF: ArrayLike, key: jax.Array) -> float:
    """How well a linear classifier of the whole code tells each value of each factor from the rest.

        explicitness = mean over f of the mean over the values j of f of AUC_jf

    with AUC_jf the area under the ROC curve, on a quarter of the examples, of the logistic
    regression that predicts whether factor f has value j, fitted on the other three quarters. 1:
    all are separated; 0.5: chance. The regressions have an L2 penalty (C = 1) and see standardised
    latents; one that does not vary counts as zero. A latent that counts the values of a factor is
    not wholly explicit: no line separates one in the middle from those on both sides.

    Args:
        codes_NxD: latents of N examples.
        factors_NxF: values of the factors behind them, or their numbers.
        key: decides what is held out.

    Raises:
        ValueError: codes and factors that do not fit together, a factor of one value, a value that
            is in one part only, or no key.

    Examples:
        >>> factors = np.tile(np.indices((2, 2)).reshape(2, -1).T, (20, 1))
        >>> explicitness(factors @ [[1, 1], [1, -1]], factors, jax.random.key(0))  # rotated
        1.0

    References:
        Ridgeway & Mozer, "Learning Deep Disentangled Embeddings With the F-Statistic Loss",
        NeurIPS 2018, section 3.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    codes, factors, sizes = checked(codes_NxD, factors_NxF)
    train, test = split(key, len(codes))
    scaler = StandardScaler().fit(codes[train])
    train_NxD, test_MxD = scaler.transform(codes[train]), scaler.transform(codes[test])
    means = []
    for factor, size in enumerate(sizes):
        areas = []
        for value in range(size):
            is_train_N, is_test_M = (factors[part, factor] == value for part in (train, test))
            if not (_has_both(is_train_N) and _has_both(is_test_M)):
                raise ValueError(
                    f"factors must have more examples: value number {value} of factor {factor} is "
                    "missing, or alone, in one of the parts"
                )
            regression = LogisticRegression(max_iter=1000).fit(train_NxD, is_train_N)
            areas.append(roc_auc_score(is_test_M, regression.decision_function(test_MxD)))
        means.append(np.mean(areas))
    return float(np.mean(means))


def _squared_correlations(
    codes_NxD: NDArray[np.float64], values_NxF: NDArray[np.float64]
) -> NDArray[np.float64]:
    codes_NxD, values_NxF = (array - array.mean(axis=0) for array in (codes_NxD, values_NxF))
    lengths = [np.linalg.norm(array, axis=0) for array in (codes_NxD, values_NxF)]
    scale_D, scale_F = (np.where(length > 0, length, 1) for length in lengths)
    correlation_DxF = (codes_NxD / scale_D).T @ (values_NxF / scale_F)
    return np.minimum(correlation_DxF**2, 1.0)  # rounding may bring it above 1


def _by_thresholds(code_N: NDArray[np.float64], number_N: NDArray[np.intp], size: int) -> float:
    """The balanced accuracy of `size` intervals of a latent."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        criterion="gini", max_leaf_nodes=size, class_weight="balanced", random_state=0
    )
    right_N = tree.fit(code_N[:, None], number_N).predict(code_N[:, None]) == number_N
    return float(np.mean(np.bincount(number_N, right_N) / np.bincount(number_N)))


def _has_both(is_value: NDArray[np.bool_]) -> bool:
    return bool(is_value.any() and not is_value.all())
