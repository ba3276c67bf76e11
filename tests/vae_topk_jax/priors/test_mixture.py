"""The mixture of latents before the mask."""

import jax
import numpy as np
import pytest

from vae_topk_jax.priors import mixture
from vae_topk_jax.priors.mixture import Mixture
from vae_topk_jax.priors.prior import Examples, draw

ACTIVE = np.array([1, 3])


def fit(latents: np.ndarray, seed: int = 0) -> Mixture:
    return Mixture.fit(Examples.of(latents), jax.random.key(seed))


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
    monkeypatch.setattr(mixture, "CANDIDATES", (("full", 2), ("diag", 2)))


def test_the_mixture_gives_back_the_distribution_of_the_codes(codes, few_candidates):
    drawn = np.asarray(draw(fit(codes), jax.random.key(1), 30_000))
    assert drawn.shape == (30_000, 4)
    assert not drawn[:, [0, 2]].any()
    for side in (-1, 1):
        real, made = (x[np.sign(x[:, 1]) == side][:, ACTIVE] for x in (codes, drawn))
        assert abs(len(made) / len(drawn) - len(real) / len(codes)) < 0.02
        np.testing.assert_allclose(made.mean(0), real.mean(0), atol=0.08)
        np.testing.assert_allclose(np.cov(made.T), np.cov(real.T), atol=0.12)


def test_the_same_seeds_give_the_same_codes(codes, few_candidates):
    drawn = [draw(fit(codes[:100], seed=4), jax.random.key(2), 10) for _ in range(2)]
    np.testing.assert_array_equal(*drawn)


def test_few_codes_get_a_simple_mixture_and_too_few_none(codes):
    rng = np.random.default_rng(5)
    few = rng.normal(size=(100, 3)) @ rng.normal(size=(3, 3))
    assert fit(few).means_MxU.shape == (1, 3)
    with pytest.raises(ValueError, match="latents must be at least 20 to fit a mixture, got 9"):
        fit(codes[:9])


def test_independent_clusters_get_diagonal_covariances_of_as_many_components():
    rng = np.random.default_rng(6)
    centres = 20 * rng.normal(size=(10, 8))
    mixture = fit(centres[rng.integers(0, 10, 600)] + rng.normal(size=(600, 8)))
    assert mixture.means_MxU.shape == (10, 8)
    factors = np.asarray(mixture.factors_MxUxU)
    assert (factors == factors * np.eye(8)).all()


def test_latents_with_zeros_give_samples_that_are_active_as_often(sparse_codes, few_candidates):
    drawn = np.asarray(draw(fit(sparse_codes), jax.random.key(3), 20_000))
    np.testing.assert_allclose((drawn != 0).mean(0), (sparse_codes != 0).mean(0), atol=0.015)
