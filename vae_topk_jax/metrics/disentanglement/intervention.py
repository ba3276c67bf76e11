"""Measures that hold one factor fixed, and look at what the latents do. NumPy, float64.

Nothing is rendered: examples are drawn from those that are given. One is drawn from all, and the
others of its group from those that share its value of the factor, with replacement. A value is
therefore taken as often as the examples have it, and each should have many examples, in which the
other factors vary as they do in all.
"""

from collections.abc import Callable

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_topk_jax.metrics.disentanglement.inputs import Inputs, check_count, checked, generator
from vae_topk_jax.metrics.linear_probe import linear_probe_accuracy

GROUP, POINTS, TEST_POINTS = 64, 10_000, 5_000
CHUNK = 128  # points that are drawn together


def beta_vae_score(
    codes_NxD: ArrayLike,
    factors_NxF: ArrayLike,
    key: jax.Array,
    *,
    group: int = GROUP,
    points: int = POINTS,
    test_points: int = TEST_POINTS,
) -> float:
    """Whether a linear classifier tells from differences of latents which factor is equal.

        point = 1/L sum_l |z_1l - z_2l|

    over L pairs of examples that share the value of one factor f, which is drawn for each point.
    The score is the accuracy on new points of a logistic regression that predicts f; chance is
    1/F. It may be 1 where all factors but one are disentangled (Kim & Mnih, ICML 2018, section 4).

    Args:
        codes_NxD: latents of N examples.
        factors_NxF: values of the factors behind them, or their numbers.
        key: decides factors and pairs.
        group: L, pairs of each point.
        points: for the classifier, at most 10,000 of which are used.
        test_points: for its accuracy.

    Raises:
        ValueError: codes and factors that do not fit together, a single factor, a factor of one
            value, a count, or no key.

    Examples:
        >>> factors = np.indices((8, 8)).reshape(2, -1).T
        >>> beta_vae_score(factors, factors, jax.random.key(0), points=200, test_points=100)
        1.0

    References:
        Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
        Framework", ICLR 2017, section 3. The linear classifier is `linear_probe_accuracy`.
    """

    def differences(codes: NDArray, first_PxL: NDArray, second_PxL: NDArray) -> NDArray:
        return np.abs(codes[first_PxL] - codes[second_PxL]).mean(axis=1)

    inputs = _inputs(codes_NxD, factors_NxF, group, points, test_points)
    rng = generator(key)
    train, test = (
        _points(inputs, rng, count, group, differences, fresh=True)
        for count in (points, test_points)
    )
    return linear_probe_accuracy(*train, *test)


def factor_vae_score(
    codes_NxD: ArrayLike,
    factors_NxF: ArrayLike,
    key: jax.Array,
    *,
    group: int = GROUP,
    points: int = POINTS,
    test_points: int = TEST_POINTS,
) -> float:
    """Accuracy with which the latent that varies least predicts which factor is equal.

        d* = argmin_d Var_l(z_ld) / Var(z_d)

    over L examples that share one value of one factor f, both drawn for each point. Each latent
    votes for the factor f that it was d* for most often; the score is how often the vote is right
    on new points. Chance is 1/F. Latents that do not vary are left out; where none does, latent 0
    votes.

    Args:
        codes_NxD: latents of N examples.
        factors_NxF: values of the factors behind them, or their numbers.
        key: decides factors and examples.
        group: L, examples of each point, 2 or more.
        points: for the votes.
        test_points: for the score.

    Raises:
        ValueError: codes and factors that do not fit together, a single factor, a factor of one
            value, a count, or no key.

    Examples:
        >>> factors = np.indices((8, 8)).reshape(2, -1).T
        >>> factor_vae_score(factors, factors, jax.random.key(0), points=200, test_points=100)
        1.0

    References:
        Kim & Mnih, "Disentangling by Factorising", ICML 2018, section 4, with new points for the
        score as in Locatello et al., ICML 2019.
    """
    inputs = _inputs(codes_NxD, factors_NxF, group, points, test_points)
    alive_D = np.ptp(inputs.codes_NxD, axis=0) > 0
    scale_D = np.where(alive_D, inputs.codes_NxD.std(axis=0), 1)
    inputs = inputs._replace(codes_NxD=inputs.codes_NxD / scale_D)

    def steadiest(codes: NDArray, _: NDArray, same_PxL: NDArray) -> NDArray:
        return np.where(alive_D, codes[same_PxL].var(axis=1), np.inf).argmin(axis=1)

    rng = generator(key)
    (latent_P, factor_P), (latent_M, factor_M) = (
        _points(inputs, rng, count, group, steadiest, fresh=False)
        for count in (points, test_points)
    )
    votes_DxF = np.zeros((len(alive_D), len(inputs.sizes)), np.intp)
    np.add.at(votes_DxF, (latent_P, factor_P), 1)
    return float(np.mean(votes_DxF.argmax(axis=1)[latent_M] == factor_M))


def _inputs(codes: ArrayLike, factors: ArrayLike, group: int, points: int, test: int) -> Inputs:
    inputs = checked(codes, factors)
    if len(inputs.sizes) < 2:
        raise ValueError("factors must have two columns or more to be told apart, got 1")
    check_count("group", group, 2)
    check_count("points", points, 2)
    check_count("test_points", test, 1)
    return inputs


def _points(
    inputs: Inputs,
    rng: np.random.Generator,
    count: int,
    group: int,
    summary: Callable[[NDArray, NDArray, NDArray], NDArray],
    *,
    fresh: bool,
) -> tuple[NDArray, NDArray[np.intp]]:
    """What `summary` makes of groups of examples, and the factor that is equal in each.

    Args:
        inputs: what is drawn from.
        rng: draws.
        count: P, how many groups.
        group: L, examples in each.
        summary: of codes_NxD, first_PxL and same_PxL, numbers of examples that share the value of
            the factor with the first.
        fresh: whether each of the L has a first example of its own, or all of a group the same.
    """
    codes_NxD, factors_NxF, sizes = inputs
    order_NxF = np.argsort(factors_NxF, axis=0, kind="stable")
    counts = [np.bincount(column) for column in factors_NxF.T]
    starts = [np.cumsum(count_V) - count_V for count_V in counts]
    factor_P = rng.integers(len(sizes), size=count)
    found = []
    for begin in range(0, count, CHUNK):
        chunk = factor_P[begin : begin + CHUNK, None]
        shape = (len(chunk), group if fresh else 1)
        first = np.broadcast_to(rng.integers(len(codes_NxD), size=shape), (len(chunk), group))
        values = factors_NxF[first, chunk]
        drawn = rng.random(first.shape)
        same = np.empty(first.shape, np.intp)
        for factor in range(len(sizes)):
            mine = chunk[:, 0] == factor
            start, size = starts[factor][values[mine]], counts[factor][values[mine]]
            places = start + np.minimum((drawn[mine] * size).astype(np.intp), size - 1)
            same[mine] = order_NxF[places, factor]
        found.append(summary(codes_NxD, first, same))
    return np.concatenate(found), factor_P
