"""Generated codes: where they live and how they are distributed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from vae_topk_jax.samplers import (
    fit_mixture,
    fit_patterns,
    sample_mixture,
    sample_patterns,
    sample_prior,
)

from vae_topk_jax import samplers

ACTIVE = np.array([1, 3])


def test_the_prior_is_standard_normal_under_the_mask():
    codes = np.asarray(sample_prior(jax.random.key(0), 20_000, jnp.array([0.0, 1.0, 0.0, 1.0])))
    assert not codes[:, [0, 2]].any()
    np.testing.assert_allclose(codes[:, ACTIVE].mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(codes[:, ACTIVE].T), np.eye(2), atol=0.03)


def test_the_prior_is_active_as_often_as_the_dimensions_are():
    frequency = jnp.array([0.0, 0.1, 0.5, 1.0])
    codes = np.asarray(sample_prior(jax.random.key(0), 20_000, frequency))
    np.testing.assert_allclose((codes != 0).mean(0), frequency, atol=0.01)
    for column, share in zip(codes.T, frequency.tolist(), strict=True):
        silent = scipy.stats.norm.ppf(1 - share / 2)
        assert np.all(np.abs(column[column != 0]) >= silent - 1e-5)


@pytest.fixture
def codes() -> np.ndarray:
    """Two clusters on dimensions 1 and 3 of 4."""
    rng = np.random.default_rng(0)
    clusters = [
        rng.multivariate_normal(mean, cov, 1200)
        for mean, cov in (((-4, 1), [[1, 0.6], [0.6, 1]]), ((5, -2), [[0.2, 0], [0, 2]]))
    ]
    codes = np.zeros((2400, 4), np.float32)
    codes[:, ACTIVE] = np.concatenate(clusters)
    return codes


@pytest.fixture
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "MIXTURES", (("full", 2), ("diag", 2)))


def test_the_mixture_gives_back_the_distribution_of_the_codes(codes, few_candidates):
    mixture = fit_mixture(codes, seed=0)
    drawn = np.asarray(sample_mixture(jax.random.key(1), 30_000, mixture))
    assert drawn.shape == (30_000, 4)
    assert not drawn[:, [0, 2]].any()
    for side in (-1, 1):
        real, made = (x[np.sign(x[:, 1]) == side][:, ACTIVE] for x in (codes, drawn))
        assert abs(len(made) / len(drawn) - len(real) / len(codes)) < 0.02
        np.testing.assert_allclose(made.mean(0), real.mean(0), atol=0.08)
        np.testing.assert_allclose(np.cov(made.T), np.cov(real.T), atol=0.12)


@pytest.fixture(params=["element", "sample"])
def sparse_codes(request: pytest.FixtureRequest) -> np.ndarray:
    """Correlated Gaussians of which two of eight are active, on average or in each row."""
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(2000, 8)) @ rng.normal(size=(8, 8))
    dense[:, 5] = 0
    size = np.abs(dense)
    groups = size.reshape(1, -1) if request.param == "element" else size
    threshold = np.sort(groups, axis=1)[:, -2 * len(size) // len(groups), None]
    return np.where(size >= threshold, dense, 0).astype(np.float32)


def test_patterns_have_the_supports_and_the_moments_of_the_codes(sparse_codes):
    drawn = np.asarray(sample_patterns(jax.random.key(3), 20_000, fit_patterns(sparse_codes)))
    supports, made = ({row.tobytes() for row in x != 0} for x in (sparse_codes, drawn))
    assert made <= supports
    np.testing.assert_allclose((drawn != 0).mean(0), (sparse_codes != 0).mean(0), atol=0.02)
    for real, made in zip(sparse_codes.T, drawn.T, strict=True):
        real, made = real[real != 0], made[made != 0]
        if len(real) > 100:
            np.testing.assert_allclose(made.mean(), real.mean(), atol=0.1 * real.std())
            np.testing.assert_allclose(made.std(), real.std(), rtol=0.1)


def test_the_same_seeds_give_the_same_codes(codes, few_candidates):
    drawn = [
        sample_mixture(jax.random.key(2), 10, fit_mixture(codes[:100], seed=4)) for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)


def test_few_codes_get_a_simple_mixture_and_too_few_none(codes):
    rng = np.random.default_rng(5)
    few = rng.normal(size=(100, 3)) @ rng.normal(size=(3, 3))
    assert fit_mixture(few).means_MxU.shape == (1, 3)
    with pytest.raises(ValueError, match="latents must be at least 20 to fit a mixture, got 9"):
        fit_mixture(codes[:9])


def test_independent_clusters_get_diagonal_covariances_of_as_many_components():
    rng = np.random.default_rng(6)
    centres = 20 * rng.normal(size=(10, 8))
    mixture = fit_mixture(centres[rng.integers(0, 10, 600)] + rng.normal(size=(600, 8)))
    assert mixture.means_MxU.shape == (10, 8)
    factors = np.asarray(mixture.factors_MxUxU)
    assert (factors == factors * np.eye(8)).all()


@pytest.mark.parametrize("sparse_codes", ["sample"], indirect=True)
def test_latents_with_zeros_give_samples_that_are_active_as_often(sparse_codes, few_candidates):
    drawn = np.asarray(sample_mixture(jax.random.key(3), 20_000, fit_mixture(sparse_codes)))
    np.testing.assert_allclose((drawn != 0).mean(0), (sparse_codes != 0).mean(0), atol=0.015)
