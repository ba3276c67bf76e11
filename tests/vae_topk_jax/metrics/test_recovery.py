"""Recovery of known features: cases worked out by hand, and sae_lens's own evaluation."""

import importlib
import warnings

import numpy as np
import pytest

from vae_topk_jax.metrics.recovery import (
    Detection,
    Firings,
    cosines,
    mean_correlation,
    nearest_features,
    shrinkage,
    uniqueness,
)
from vae_topk_jax.metrics.variance import explained_variance


def peer(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name.partition(".")[0], reason="needs the extra bench")
        return importlib.import_module(name)


def test_detection_of_four_latents_by_hand():
    """One that is right, one that fires half as often, one that never does, one always."""
    features = np.array([[1, 2, 3, 0], [1, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]], float)
    codes = np.array([[5, 0, 0, 1], [5, 2, 0, 1], [0, 0, 0, -1], [0, 0, 0, 1]], float)
    firings = Firings.count(codes, features, [0, 1, 2, 0])
    assert firings.detection == Detection(
        precision=(1 + 1 + 0 + 0.5) / 4,
        recall=(1 + 0.5 + 0 + 1) / 4,
        f1=pytest.approx((1 + 2 / 3 + 0 + 2 / 3) / 4),
        accuracy=(1 + 0.75 + 0.5 + 0.5) / 4,
    )
    assert (firings.active, firings.dead) == (7 / 4, 1)


def test_matchings_by_hand():
    features = np.eye(3)
    decoder = np.array([[3.0, 0, 0], [-1, 0.1, 0], [0, 0, 2], [0, 1, 1]])
    nearest = nearest_features(decoder, features)
    assert nearest.tolist() == [0, 0, 2, 1]
    assert uniqueness(nearest) == 0.75
    # the fourth latent must take the feature that is left over
    assert mean_correlation(decoder, features) == pytest.approx((1 + 1 + np.sqrt(0.5)) / 3)
    assert mean_correlation(decoder, features) == mean_correlation(features, decoder)
    assert mean_correlation(decoder, -5 * decoder[::-1]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosines(np.ones((2, 3)), np.ones((2, 4))), "b must have rows of 3 values, got 4"),
        (lambda: cosines(np.ones(3), np.ones((2, 3))), r"a must be a matrix .*, got shape \(3,\)"),
        (lambda: mean_correlation([[np.nan]], [[1.0]]), "a must be finite"),
        (lambda: Firings.count(np.ones((2, 3)), np.ones((1, 4)), [0] * 3), "must have 2 rows"),
        (lambda: Firings.count(np.ones((2, 3)), np.ones((2, 4)), [0]), r"must have shape \(3,\)"),
        (lambda: shrinkage(np.ones((2, 3)), np.ones((2, 4))), "x_hat must have the shape of x"),
        (lambda: shrinkage(np.zeros((2, 3)), np.ones((2, 3))), "x must have an example longer"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_the_same_as_sae_lens():
    evals, torch = peer("sae_lens.synthetic.evals"), peer("torch")
    variance = peer("sae_lens.evals").ExplainedVarianceCalculator()
    rng = np.random.default_rng(0)
    features, decoder = rng.normal(size=(30, 8)), rng.normal(size=(12, 8))
    codes = rng.normal(size=(500, 12)) * (rng.random((500, 12)) < 0.2)
    truth = np.abs(rng.normal(size=(500, 30))) * (rng.random((500, 30)) < 0.2)
    codes[:, 3], truth[:, nearest_features(decoder, features)[4]] = 0, 0
    x, x_hat = truth @ features, codes @ decoder
    tensors = [torch.tensor(a, dtype=torch.float64) for a in (codes, truth, decoder, features)]

    theirs = evals.compute_classification_metrics(*tensors)
    firings = Firings.count(codes, truth, nearest_features(decoder, features))
    expected = (theirs.precision, theirs.recall, theirs.f1_score, theirs.accuracy)
    np.testing.assert_allclose(firings.detection, expected, atol=1e-6)
    mcc = evals.mean_correlation_coefficient(*tensors[2:])
    np.testing.assert_allclose(mean_correlation(decoder, features), mcc, rtol=1e-6)
    unique = evals.feature_uniqueness(*tensors[2:])
    assert uniqueness(nearest_features(decoder, features)) == unique
    shrunk = evals.ShrinkageCalculator()
    shrunk.add_batch(torch.tensor(x_hat), torch.tensor(x))
    np.testing.assert_allclose(shrinkage(x, x_hat), shrunk.compute(), rtol=1e-6)
    variance.add_batch(torch.tensor(x_hat), torch.tensor(x))
    np.testing.assert_allclose(explained_variance(x, x_hat), variance.compute(), rtol=1e-6)
    l0, dead = evals.L0Calculator(), evals.DeadLatentsCalculator(12)
    l0.add_batch(tensors[0])
    dead.add_batch(tensors[0])
    assert firings.active == pytest.approx(l0.compute())
    assert firings.dead == dead.compute()
