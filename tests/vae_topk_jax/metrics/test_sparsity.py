"""Sparsity of codes against loops over the definitions, and what a linear probe reads."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from vae_topk_jax.metrics.linear_probe import TRAIN_CODES, linear_probe_accuracy
from vae_topk_jax.metrics.sparsity import (
    active_latents,
    active_units,
    dims_in_use,
    hoyer,
    sparsity_metrics,
)

RNG = np.random.default_rng(0)


def sparse_codes(n: int = 300, dims: int = 7) -> np.ndarray:
    """Each dimension with a scale and a frequency of its own; the fourth never used."""
    scale, frequency = np.array([1, 5, 0.1, 1, 2, 30, 1]), np.array([1, 0.5, 0.2, 0, 0.1, 0.3, 0.9])
    active = RNG.random((n, dims)) < frequency
    return (active * (0.5 + RNG.normal(size=(n, dims))) * scale).astype(np.float32)


def reference_hoyer(codes: np.ndarray) -> float:
    values = []
    scales = [float(np.std(column)) for column in codes.astype(np.float64).T]
    for code in codes.astype(np.float64):
        scaled = [z / s if s else 0.0 for z, s in zip(code, scales, strict=True)]
        l1, l2 = sum(abs(y) for y in scaled), sum(y * y for y in scaled) ** 0.5
        root = len(scaled) ** 0.5
        values.append((root - l1 / l2) / (root - 1) if l2 else 1.0)
    return sum(values) / len(values)


def test_hoyer_is_its_definition():
    codes = sparse_codes()
    np.testing.assert_allclose(hoyer(codes), reference_hoyer(codes), rtol=1e-12)


def test_hoyer_does_not_depend_on_the_scales_of_the_dimensions():
    codes = sparse_codes()
    scales = RNG.uniform(0.01, 100, codes.shape[1])
    np.testing.assert_allclose(hoyer(codes * scales), hoyer(codes), rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_hoyer_of_k_equal_entries_of_d_is_known(k):
    codes = np.zeros((400, 8))
    for n, row in enumerate(codes):
        row[(np.arange(k) + n) % 8] = 1 - 2 * (n // 8 % 2)
    np.testing.assert_allclose(hoyer(codes), (8**0.5 - k**0.5) / (8**0.5 - 1), atol=1e-12)


def test_a_dimension_that_never_varies_adds_nothing():
    codes = np.column_stack([sparse_codes(), np.full(300, 4.0), np.full(300, 0.1)])
    silent = np.column_stack([codes[:, :-2], np.zeros((300, 2))])
    np.testing.assert_allclose(hoyer(codes), hoyer(silent), rtol=1e-12)


def test_empty_codes_are_the_sparsest():
    assert hoyer(np.zeros((5, 4))) == 1.0


def test_counts_are_their_definitions():
    codes = sparse_codes()
    np.testing.assert_allclose(
        active_latents(codes), sum(z != 0 for row in codes for z in row) / len(codes)
    )
    assert dims_in_use(codes).tolist() == [0, 1, 2, 4, 5, 6]
    variances = [np.mean((column - column.mean()) ** 2) for column in codes.T.astype(float)]
    assert active_units(codes) == sum(v > 0.01 for v in variances)
    assert sparsity_metrics(codes)["active_dims"] == 6


@pytest.mark.parametrize(("count", "used"), [(1, []), (2, [1])])
def test_a_dimension_is_in_use_from_one_image_of_a_thousand(count, used):
    codes = np.zeros((2000, 3))
    codes[:count, 1] = 1e-9
    assert dims_in_use(codes).tolist() == used


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros(3), r"codes must be \(N, D\), one row or more, got shape \(3,\)"),
        (np.zeros((0, 3)), r"got shape \(0, 3\)"),
        (np.array([[1.0, np.nan]]), "codes must be finite, got 1 NaN"),
        (np.zeros((3, 1)), "two dimensions or more for the Hoyer sparsity, got 1"),
    ],
)
def test_bad_codes_are_named(codes, message):
    with pytest.raises(ValueError, match=message):
        sparsity_metrics(codes)


def clouds(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping clouds in four dimensions, one of them constant, another very small."""
    labels = RNG.integers(0, 3, n)
    centres = np.array([[0, 0, 0, 0], [2, 0, 0, 0.002], [0, 2, 0, -0.002]])
    return centres[labels] + RNG.normal(size=(n, 4)) * [1, 1, 0, 1e-3], labels


def reference_accuracy(train, labels, test, test_labels) -> float:
    """Penalised softmax regression on standardised codes, by BFGS on the loss as written."""
    mean, std = train.mean(0), np.where(train.std(0) > 0, train.std(0), 1)
    x, onehot = (train - mean) / std, np.eye(3)[labels]

    def loss(flat):
        weights, bias = flat[:12].reshape(4, 3), flat[12:]
        scores = x @ weights + bias
        nll = np.sum(logsumexp(scores, axis=1) - np.sum(onehot * scores, axis=1))
        return nll + 0.5 * np.sum(weights**2)

    found = minimize(loss, np.zeros(15), method="BFGS", options={"gtol": 1e-3}).x
    scores = (test - mean) / std @ found[:12].reshape(4, 3) + found[12:]
    return float(np.mean(scores.argmax(1) == test_labels))


def test_the_linear_probe_is_a_logistic_regression_on_standardised_codes():
    (train, labels), (test, test_labels) = clouds(400), clouds(2000)
    accuracy = linear_probe_accuracy(train, labels, test, test_labels)
    assert abs(accuracy - reference_accuracy(train, labels, test, test_labels)) <= 2 / 2000
    assert 0.7 < accuracy < 0.95


def test_only_the_first_codes_are_fitted_on():
    (train, labels), (test, test_labels) = clouds(TRAIN_CODES), clouds(500)
    accuracy = linear_probe_accuracy(train, labels, test, test_labels)
    misleading = np.concatenate([train, train]), np.concatenate([labels, (labels + 1) % 3])
    assert linear_probe_accuracy(*misleading, test, test_labels) == accuracy
