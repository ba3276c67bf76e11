"""DCI: disentanglement, completeness and informativeness, from the importance of each latent.

Eastwood & Williams take any regressor that says how much it uses each input, and try lasso and
random forests. Here it is a random forest of classifiers: it needs no linear relation, the units of
a latent do not matter to it, and its settings are the same in scikit-learn 1.5 to 1.9. Settings of
gradient boosting (`criterion`), which Locatello et al. took, and of L1 logistic regression
(`penalty`) are deprecated in 1.9 and 1.8, so that a published score could not be computed again.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_topk_jax.metrics.disentanglement.inputs import checked, generator, split

# Every setting of scikit-learn's RandomForestClassifier that changes its numbers.
FOREST: dict[str, Any] = {
    "n_estimators": 30,
    "criterion": "entropy",
    "max_depth": 12,
    "min_samples_split": 2,
    "min_samples_leaf": 4,
    "min_weight_fraction_leaf": 0.0,
    "max_features": None,
    "max_leaf_nodes": None,
    "min_impurity_decrease": 0.0,
    "bootstrap": True,
    "class_weight": None,
    "ccp_alpha": 0.0,
    "max_samples": None,
}


class DCI(NamedTuple):
    """The three scores, and what they were computed from.

    Attributes:
        disentanglement: of `disentanglement`, in [0, 1].
        completeness: of `completeness`, in [0, 1].
        informativeness: accuracy on examples that were held out, mean over the factors.
        importance_DxF: how much the forest of factor f uses latent d; columns sum to 1, or to 0
            where no latent tells anything of the factor.
        accuracy_F: the accuracies behind `informativeness`.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    importance_DxF: NDArray[np.float64]
    accuracy_F: NDArray[np.float64]


def dci(codes_NxD: ArrayLike, factors_NxF: ArrayLike, key: jax.Array) -> DCI:
    """Disentanglement, completeness and informativeness by random forests, one a factor.

    Each forest is fitted on three quarters of the examples, drawn by the key, with the settings in
    `FOREST`; R_df is the decrease of entropy by the splits on latent d, as a share of all. The
    other quarter gives the informativeness, which is an accuracy here and an error in the paper: 1
    is best for all three.

    Args:
        codes_NxD: latents of N examples; one that does not vary has importance 0.
        factors_NxF: values of the factors behind them, or their numbers; each value is a class.
        key: decides what is held out, and the forests.

    Raises:
        ValueError: codes and factors that do not fit together, a factor of one value, or no key.

    Examples:
        >>> factors = np.tile(np.indices((4, 4)).reshape(2, -1).T, (20, 1))
        >>> scores = dci(factors @ [[0, 1], [9, 0]], factors, jax.random.key(0))
        >>> round(scores.disentanglement, 6), round(scores.completeness, 6), scores.informativeness
        (1.0, 1.0, 1.0)
        >>> scores.importance_DxF.round(6).tolist()
        [[0.0, 1.0], [1.0, 0.0]]

    References:
        Eastwood & Williams, "A Framework for the Quantitative Evaluation of Disentangled
        Representations", ICLR 2018, section 2.
    """
    from sklearn.ensemble import RandomForestClassifier

    codes, factors, sizes = checked(codes_NxD, factors_NxF)
    train, test = split(key, len(codes))
    seeds = generator(jax.random.fold_in(key, 1)).integers(2**31, size=len(sizes))
    importance_DxF = np.empty((codes.shape[1], len(sizes)))
    accuracy_F = np.empty(len(sizes))
    for factor, seed in enumerate(seeds):
        forest = RandomForestClassifier(**FOREST, random_state=int(seed))
        forest.fit(codes[train], factors[train, factor])
        importance_DxF[:, factor] = forest.feature_importances_
        accuracy_F[factor] = np.mean(forest.predict(codes[test]) == factors[test, factor])
    return DCI(
        disentanglement(importance_DxF),
        completeness(importance_DxF),
        float(accuracy_F.mean()),
        importance_DxF,
        accuracy_F,
    )


def disentanglement(importance_DxF: ArrayLike) -> float:
    """Whether each latent matters for one factor only.

        D = sum_d rho_d (1 - H_F(R_df / sum_f R_df)),    rho_d = sum_f R_df / sum_df R_df

    with H_F the entropy over the factors to the base F. Latents count as much as they matter, dead
    ones not at all.

    Args:
        importance_DxF: R, not negative.

    Returns:
        A number in [0, 1]; 0 where all importances are 0.

    Raises:
        ValueError: no matrix of finite numbers of at least 0.

    Examples:
        >>> disentanglement([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
        0.5

    References:
        Eastwood & Williams, ICLR 2018, section 2.
    """
    importance = _importance(importance_DxF)
    weight_D = importance.sum(axis=1)
    return float(weight_D @ (1 - _entropies(importance)) / (weight_D.sum() or 1.0))


def completeness(importance_DxF: ArrayLike) -> float:
    """Whether one latent only matters for each factor.

        C = 1/F sum_f (1 - H_D(R_df / sum_d R_df))

    with H_D the entropy over the latents to the base D. A factor for which no latent matters counts
    0. Factors weigh the same, as where the paper takes a mean.

    Args:
        importance_DxF: R, not negative.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: no matrix of finite numbers of at least 0.

    Examples:
        >>> completeness([[1.0, 0.5], [0.0, 0.5]])
        0.5

    References:
        Eastwood & Williams, ICLR 2018, section 2.
    """
    importance = _importance(importance_DxF)
    return float(np.mean((1 - _entropies(importance.T)) * (importance.sum(axis=0) > 0)))


def _importance(importance_DxF: ArrayLike) -> NDArray[np.float64]:
    importance = np.asarray(importance_DxF, np.float64)
    if importance.ndim != 2 or 0 in importance.shape:
        raise ValueError(f"importance must be a matrix (D, F), got shape {importance.shape}")
    if not (np.isfinite(importance) & (importance >= 0)).all():
        raise ValueError("importance must be finite and not negative, got other values")
    return importance


def _entropies(weights_RxC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy_R of the shares in each row to the base C; 0 for a row of zeros, or of one entry."""
    totals_R = weights_RxC.sum(axis=1, keepdims=True)
    shares_RxC = weights_RxC / np.where(totals_R > 0, totals_R, 1)
    logs_RxC = np.log(np.where(shares_RxC > 0, shares_RxC, 1))
    return -(shares_RxC * logs_RxC).sum(axis=1) / np.log(max(2, weights_RxC.shape[1]))
