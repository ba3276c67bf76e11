"""Disentanglement: codes whose scores are known, and the published definitions in plain NumPy."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from vae_topk_jax.metrics.disentanglement import (
    beta_vae_score,
    completeness,
    dci,
    disentanglement,
    explicitness,
    factor_vae_score,
    mig,
    modularity,
    mutual_information,
    sap,
)
from vae_topk_jax.metrics.disentanglement.inputs import split

KEY = jax.random.key(0)
FACTORS = np.tile(np.indices((3, 4, 5)).reshape(3, -1).T, (8, 1))
RNG = np.random.default_rng(0)
SCALED = (FACTORS - FACTORS.mean(axis=0)) / FACTORS.std(axis=0)
DEAD = np.full((len(FACTORS), 2), 0.1)
CODES = {
    "perfect": SCALED,
    "permuted": 7 - 3.0 * FACTORS[:, [2, 0, 1]],
    "dead": np.hstack([DEAD, SCALED, DEAD]),
    "redundant": np.hstack([SCALED, SCALED]),
    "rotated": SCALED @ (np.eye(3) - 2 / 3),  # each latent is most of two factors
    "noisy": SCALED + RNG.normal(size=SCALED.shape),
    "noise": RNG.normal(size=SCALED.shape),
    "all dead": DEAD,
}
SMALL: dict[str, Any] = {"points": 300, "test_points": 200, "group": 32}
HALF: dict[str, Any] = {"bins": 2.5}
NO_KEY: Any = 0


@functools.cache
def forests(code):
    return dci(CODES[code], FACTORS, KEY)


SCORES: dict[str, Callable[[str], float]] = {
    "mig": lambda code: mig(CODES[code], FACTORS),
    "modularity": lambda code: modularity(CODES[code], FACTORS),
    "sap": lambda code: sap(CODES[code], FACTORS),
    "disentanglement": lambda code: forests(code).disentanglement,
    "completeness": lambda code: forests(code).completeness,
    "informativeness": lambda code: forests(code).informativeness,
    "explicitness": functools.cache(lambda code: explicitness(CODES[code], FACTORS, KEY)),
    "beta_vae": lambda code: beta_vae_score(CODES[code], FACTORS, KEY, **SMALL),
    "factor_vae": lambda code: factor_vae_score(CODES[code], FACTORS, KEY, **SMALL),
}
ALONE = {score: 1.0 for score in SCORES if score != "explicitness"}
PERFECT = ALONE | {"explicitness": 0.804}  # no line tells values in the middle
KNOWN: dict[str, dict[str, float]] = {
    "perfect": PERFECT,
    "permuted": ALONE,
    "dead": PERFECT,
    "redundant": ALONE | {"mig": 0, "sap": 0, "completeness": 1 - np.log(2) / np.log(6)},
    "rotated": {"sap": 0, "informativeness": 1, "explicitness": 0.804},
    "all dead": dict.fromkeys(SCORES, 0)
    | {"informativeness": 0.23, "explicitness": 0.5, "beta_vae": 0.3, "factor_vae": 0.345},
}


@pytest.mark.parametrize(
    ("code", "score"), [(code, score) for code, known in KNOWN.items() for score in known]
)
def test_scores_that_are_known(code, score):
    expected = KNOWN[code][score]
    tolerance = 1e-9 if expected in (0, 1) and code != "rotated" else 0.06
    assert SCORES[score](code) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("score", SCORES)
def test_noise_lowers_every_score(score):
    noise, noisy, perfect = (SCORES[score](code) for code in ("noise", "noisy", "perfect"))
    assert 0 <= noise < noisy < perfect <= 1


def test_a_rotation_lowers_what_looks_at_the_axes():
    for score in ("modularity", "disentanglement", "completeness", "factor_vae"):
        assert SCORES[score]("rotated") < 0.8
    assert SCORES["mig"]("rotated") < 0.1


def test_mutual_information_is_that_of_scikit_learn():
    codes = CODES["noisy"]
    mutual_DxF, entropy_F = mutual_information(codes, FACTORS, bins=7)
    for latent, factor in itertools.product(range(3), range(3)):
        edges = np.linspace(codes[:, latent].min(), codes[:, latent].max(), 8)
        binned = np.digitize(codes[:, latent], edges[1:-1])
        expected = mutual_info_score(binned, FACTORS[:, factor])
        assert mutual_DxF[latent, factor] == pytest.approx(expected)
    np.testing.assert_allclose(entropy_F, np.log([3, 4, 5]))


def test_mig_and_modularity_as_published():
    mutual_DxF, entropy_F = mutual_information(CODES["noisy"], FACTORS)
    gaps = []
    for factor in range(3):
        first, second = sorted(mutual_DxF[:, factor], reverse=True)[:2]
        gaps.append((first - second) / entropy_F[factor])
    assert SCORES["mig"]("noisy") == pytest.approx(np.mean(gaps))

    scores = []
    for row in mutual_DxF:
        template = np.where(np.arange(3) == row.argmax(), row.max(), 0)
        deviation = ((row - template) ** 2).sum() / (row.max() ** 2 * (3 - 1))
        scores.append(1 - deviation)
    assert SCORES["modularity"]("noisy") == pytest.approx(np.mean(scores))


def test_disentanglement_and_completeness_as_published():
    importance = RNG.random((5, 3)) * [[1], [1], [1], [9], [0]]
    weights = importance.sum(axis=1) / importance.sum()
    by_latent = [
        w * (1 - entropy(row, base=3)) for w, row in zip(weights, importance, strict=True) if w
    ]
    assert disentanglement(importance) == pytest.approx(sum(by_latent))
    by_factor = [1 - entropy(column, base=5) for column in importance.T]
    assert completeness(importance) == pytest.approx(np.mean(by_factor))
    assert completeness(np.eye(2, 3)) == pytest.approx(2 / 3)  # nothing matters for the third


def test_importance_of_the_forests():
    for code in ("noisy", "dead", "all dead"):
        scores = forests(code)
        assert scores.informativeness == pytest.approx(scores.accuracy_F.mean())
        expected = 0 if code == "all dead" else 1
        np.testing.assert_allclose(scores.importance_DxF.sum(axis=0), expected)
    assert not forests("dead").importance_DxF[[0, 1, -2, -1]].any()


def test_sap_as_published():
    codes = CODES["noisy"]
    squared = np.corrcoef(codes.T, FACTORS.T)[:3, 3:] ** 2
    ordered = np.sort(squared, axis=0)
    assert sap(codes, FACTORS) == pytest.approx((ordered[-1] - ordered[-2]).mean())


def test_sap_of_two_classes_is_the_best_threshold():
    codes, classes = RNG.normal(size=(40, 2)), RNG.permutation(np.arange(40) % 2)
    best = []
    for code in codes.T:
        found = []
        for threshold in code:
            above = code >= threshold
            right = [np.mean(above[classes == 1]), np.mean(~above[classes == 0])]
            found.append(max(np.mean(right), 1 - np.mean(right)))
        best.append(max(found))
    expected = pytest.approx(abs(best[0] - best[1]))
    assert sap(codes, classes[:, None], categorical=[0]) == expected


def test_sap_of_classes_does_not_see_their_order():
    shuffled = FACTORS.copy()
    shuffled[:, 2] = np.array([3, 0, 4, 1, 2])[FACTORS[:, 2]]
    gap = (1 + 1 + (1 - 1 / 5)) / 3  # a latent that tells nothing has 1 / 5
    assert sap(SCALED, shuffled, categorical={2}) == pytest.approx(gap)
    assert sap(SCALED, shuffled) < 0.8


def test_explicitness_is_the_share_of_pairs_in_order():
    """One factor of two values, so that both regressions are one latent up to its sign."""
    codes, classes = RNG.normal(size=(80, 1)), RNG.permutation(np.arange(80) % 2)
    codes[:, 0] += classes
    _, test = split(KEY, 80)
    code, of = codes[test, 0], classes[test]
    expected = np.mean(code[of == 1][:, None] > code[of == 0])
    assert explicitness(codes, classes[:, None], KEY) == pytest.approx(expected)


def test_the_steadiest_latent_as_published():
    """Two latents that see factors 0 and 1, and none that sees factor 2: votes in a plain loop."""
    codes = np.stack([SCALED[:, 0], SCALED[:, 1], SCALED[:, 0] + 0.1 * SCALED[:, 1]], axis=1)
    rng = np.random.default_rng(5)

    def points(count):
        for _ in range(count):
            factor = rng.integers(3)
            value = FACTORS[rng.integers(len(FACTORS)), factor]
            rows = rng.choice(np.flatnonzero(FACTORS[:, factor] == value), 32)
            yield np.argmin(codes[rows].var(axis=0) / codes.var(axis=0)), factor

    votes = np.zeros((3, 3))
    for latent, factor in points(600):
        votes[latent, factor] += 1
    expected = np.mean([votes[latent].argmax() == factor for latent, factor in points(600)])
    found = factor_vae_score(codes, FACTORS, KEY, points=600, test_points=600, group=32)
    assert found == pytest.approx(expected, abs=0.07)
    assert 0.6 < found < 0.95


def test_pairs_share_the_value_of_their_factor():
    """Codes of which one latent is 0 where the factor is equal, and no other ever is."""
    factors = np.stack([np.arange(40) % 2, np.arange(40) // 2], axis=1)
    assert beta_vae_score(factors, factors, KEY, points=100, test_points=100, group=8) == 1
    with pytest.raises(ValueError, match="two columns or more"):
        beta_vae_score(factors, factors[:, :1], KEY)


UNITS = [(1e300, 0.0), (1e-300, 0.0), (1.0, 1e9)]


@pytest.mark.parametrize(("scale", "shift"), UNITS)
def test_units_do_not_matter(scale, shift):
    """Beyond float32, in which scikit-learn grows its trees."""
    codes = CODES["noisy"] * scale + shift
    for measure, score in ((mig, "mig"), (modularity, "modularity"), (sap, "sap")):
        assert measure(codes, FACTORS) == pytest.approx(SCORES[score]("noisy"), abs=1e-3)
    assert dci(codes, FACTORS, KEY)[:3] == pytest.approx(forests("noisy")[:3], abs=0.02)
    for sampled in (beta_vae_score, factor_vae_score):
        expected = sampled(CODES["noisy"], FACTORS, KEY, **SMALL)
        assert sampled(codes, FACTORS, KEY, **SMALL) == pytest.approx(expected, abs=0.02)


def test_the_key_decides_and_nothing_else_does():
    def scores(key):
        codes = CODES["noisy"]
        return (
            beta_vae_score(codes, FACTORS, key, **SMALL),
            factor_vae_score(codes, FACTORS, key, **SMALL),
        )

    assert scores(KEY) == scores(jax.random.key(0)) != scores(jax.random.key(1))
    assert forests("noisy").importance_DxF.tobytes() == (
        dci(CODES["noisy"], FACTORS.astype(np.float32), KEY).importance_DxF.tobytes()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mig(np.ones(4), FACTORS), r"codes must be a matrix .*, got shape \(4,\)"),
        (lambda: mig(SCALED, FACTORS[1:]), "factors must have 480 rows as the codes, got 479"),
        (lambda: mig(SCALED[:3], FACTORS[:3]), "codes must have 4 rows or more, got 3"),
        (lambda: mig(np.full((4, 1), np.nan), [[0], [1], [0], [1]]), "codes must be finite"),
        (lambda: mig(SCALED.astype(complex), FACTORS), "codes must be real numbers, got complex"),
        (lambda: mig(SCALED, 0 * FACTORS), "factor 0 has one value only, 0.0: leave it out"),
        (lambda: mig(SCALED, FACTORS, bins=1), r"bins must be a number in \[2, inf\], got 1"),
        (lambda: mig(SCALED, FACTORS, **HALF), "bins must be an integer, got 2.5"),
        (lambda: sap(SCALED, FACTORS, categorical=[3]), r"in \[0, 3\), got \[3\]"),
        (lambda: dci(SCALED, FACTORS, NO_KEY), "key must be made by jax.random.key, got 0"),
        (lambda: dci(SCALED, FACTORS, jax.random.split(KEY)), r"keys of shape \(2,\)"),
        (lambda: explicitness(SCALED, np.eye(480), KEY), "value number 0 of factor 0 is missing"),
        (lambda: factor_vae_score(SCALED, FACTORS, KEY, group=1), "group must be a number in"),
        (lambda: beta_vae_score(SCALED, FACTORS, KEY, test_points=0), "test_points must be"),
        (lambda: disentanglement([[-1.0]]), "importance must be finite and not negative"),
        (lambda: completeness([1.0]), r"importance must be a matrix \(D, F\), got shape \(1,\)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
