"""Frechet and kernel distances against closed forms, scipy and brute force."""

import numpy as np
import pytest
import scipy.linalg

from vae_topk_jax.metrics import Features, feature_distances, frechet_distance, kernel_distance
from vae_topk_jax.metrics.frechet import BLOCK

DISTANCES = {"frechet": frechet_distance, "kernel": kernel_distance}


def features(rows, size, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(size, size)) / np.sqrt(size)
    return rng.normal(size=(rows, size)) @ mixing + shift


def with_moments(mean_F, deviation_F):
    """Eight rows whose mean and (diagonal) unbiased covariance are exactly those given."""
    size = len(mean_F)
    signs_NxF = np.asarray(scipy.linalg.hadamard(8)[:, 1 : size + 1], np.float64)
    return mean_F + signs_NxF * deviation_F * np.sqrt(7 / 8)


def random_rotation(size, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def brute_force_kernel_distance(a_NxF, b_MxF):
    def kernel(x, y):
        return (np.dot(x, y) / len(x) + 1) ** 3

    def within(x):
        values = [kernel(u, v) for i, u in enumerate(x) for j, v in enumerate(x) if i != j]
        return np.mean(values)

    return within(a_NxF) + within(b_MxF) - 2 * np.mean([kernel(u, v) for u in a_NxF for v in b_MxF])


@pytest.mark.parametrize(("rows", "size"), [(50, 3), (400, 32), (1000, 64)])
def test_frechet_agrees_with_the_matrix_square_root_of_scipy(rows, size):
    a, b = features(rows, size, 0), features(rows + 7, size, 1, shift=0.3)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("mean_a", "deviation_a", "mean_b", "deviation_b"),
    [
        ([0, 0], [1, 1], [0, 0], [2, 3]),
        ([1, -2, 3], [1, 2, 3], [0, 0, 0], [3, 2, 1]),
        ([5, 5, 5, 5], [0, 1, 0, 2], [5, 5, 5, 5], [1, 0, 0, 2]),
    ],
)
def test_frechet_has_the_closed_form_of_diagonal_gaussians(
    mean_a, deviation_a, mean_b, deviation_b
):
    mean_a, deviation_a, mean_b, deviation_b = map(
        np.asarray, (mean_a, deviation_a, mean_b, deviation_b)
    )
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((deviation_a - deviation_b) ** 2)
    a, b = with_moments(mean_a, deviation_a), with_moments(mean_b, deviation_b)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(("rows", "size"), [(40, 5), (9, 30)])
def test_the_distances_are_symmetric_and_invariant_to_rotation_and_order(name, rows, size):
    distance = DISTANCES[name]
    a, b = features(rows, size, 2), features(rows + 3, size, 3, shift=0.5)
    rotation = random_rotation(size, 4)
    shuffled = np.random.default_rng(5).permutation(a)
    # Where covariances have no full rank, rounding is under a square root.
    near = pytest.approx(distance(a, b), rel=1e-6, abs=1e-6)
    assert distance(b, a) == near
    assert distance(a @ rotation, b @ rotation) == near
    assert distance(shuffled, b) == near


@pytest.mark.parametrize("offset", [1.0, -10.0])
def test_frechet_ignores_a_common_offset_and_squares_a_relative_one(offset):
    a, b = features(60, 4, 6), features(60, 4, 7)
    assert frechet_distance(a + offset, b + offset) == pytest.approx(frechet_distance(a, b))
    assert frechet_distance(a, a + offset) == pytest.approx(4 * offset**2)


@pytest.mark.parametrize(("rows", "size"), [(100, 8), (5, 40), (2, 3)])
def test_frechet_of_a_set_to_itself_is_zero_whatever_its_rank(rows, size):
    a = features(rows, size, 8)
    a[:, 0] = 3.0
    assert 0 <= frechet_distance(a, a) < 1e-6


def test_frechet_between_orthogonal_subspaces_is_the_sum_of_the_variances():
    a, b = np.zeros((50, 6)), np.zeros((40, 6))
    a[:, :3], b[:, 3:] = features(50, 3, 9), features(40, 3, 10)
    a, b = a - a.mean(0), b - b.mean(0)
    expected = a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "m", "size"), [(2, 2, 1), (7, 4, 3), (20, 31, 8)])
def test_kernel_distance_agrees_with_brute_force(n, m, size):
    a, b = features(n, size, 11), features(m, size, 12, shift=1.0)
    assert kernel_distance(a, b) == pytest.approx(brute_force_kernel_distance(a, b), rel=1e-10)


@pytest.mark.parametrize("block", [1, 3, 8, 1000])
def test_kernel_distance_does_not_depend_on_the_blocks(block, monkeypatch):
    a, b = features(17, 4, 13), features(8, 4, 14)
    expected = kernel_distance(a, b)
    assert len(a) < BLOCK
    monkeypatch.setattr("vae_topk_jax.metrics.frechet.BLOCK", block)
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_is_unbiased():
    values = [
        kernel_distance(features_a, features_b)
        for features_a, features_b in np.random.default_rng(15).normal(size=(2000, 2, 6, 3))
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0 < max(values)


def test_the_distances_grow_with_the_shift():
    a = features(200, 6, 16)
    by_shift = [feature_distances(a, a + shift) for shift in (0.0, 0.5, 1.0, 2.0)]
    for name in ("fid_clf", "kid_clf"):
        values = [distances[name] for distances in by_shift]
        assert values == sorted(values)


def test_feature_distances_holds_both_under_our_names():
    a, b = features(30, 4, 17), features(30, 4, 18, shift=1.0)
    assert feature_distances(a, b) == {
        "fid_clf": frechet_distance(a, b),
        "kid_clf": kernel_distance(a, b),
    }


def test_float32_features_are_summed_in_float64():
    a = features(300, 5, 19, shift=1000.0).astype(np.float32)
    b = features(300, 5, 20, shift=1000.0).astype(np.float32)
    assert frechet_distance(a, b) == frechet_distance(a.astype(np.float64), b.astype(np.float64))


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), r"a must be features.*two rows.*\(1, 3\)"),
        (np.zeros((4, 3)), np.zeros((4,)), r"b must be features.*\(4,\)"),
        (np.zeros((4, 0)), np.zeros((4, 0)), r"a must be features.*\(4, 0\)"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "b must have as many features as a, 3, got 2"),
        (np.zeros((4, 3)), np.full((4, 3), np.nan), "b must be finite, got 12 NaN"),
        (np.array([[np.inf], [0.0]]), np.zeros((4, 1)), "a must be finite, got 1 NaN or infinite"),
    ],
)
def test_wrong_features_are_named(name, a, b, message):
    with pytest.raises(ValueError, match=message):
        DISTANCES[name](a, b)


def test_a_set_that_many_are_compared_with_is_looked_at_once():
    reference = Features(features(50, 3, seed=0))
    for seed in (1, 2):
        other = features(40, 3, seed)
        assert feature_distances(other, reference) == feature_distances(other, reference.x_NxF)
    assert {"mean_F", "covariance_FxF", "mean_kernel"} <= vars(reference).keys()
