"""Generated codes: where they live and how they are distributed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.samplers import fit_mixture, sample_mixture, sample_prior

ACTIVE = np.array([1, 3])


def test_the_prior_is_standard_normal_under_the_mask():
    codes = np.asarray(sample_prior(jax.random.key(0), 20_000, jnp.array([0.0, 1.0, 0.0, 1.0])))
    assert not codes[:, [0, 2]].any()
    np.testing.assert_allclose(codes[:, ACTIVE].mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(codes[:, ACTIVE].T), np.eye(2), atol=0.03)


@pytest.fixture
def codes() -> np.ndarray:
    """Two clusters on dimensions 1 and 3 of 4."""
    rng = np.random.default_rng(0)
    clusters = [
        rng.multivariate_normal(mean, cov, 3000)
        for mean, cov in (((-4, 1), [[1, 0.6], [0.6, 1]]), ((5, -2), [[0.2, 0], [0, 2]]))
    ]
    codes = np.zeros((6000, 4), np.float32)
    codes[:, ACTIVE] = np.concatenate(clusters)
    return codes


def test_the_mixture_gives_back_the_distribution_of_the_codes(codes):
    mixture = fit_mixture(codes, ACTIVE, components=2, seed=0)
    drawn = np.asarray(sample_mixture(jax.random.key(1), 30_000, mixture))
    assert drawn.shape == (30_000, 4)
    assert not drawn[:, [0, 2]].any()
    for side in (-1, 1):
        real, made = (x[np.sign(x[:, 1]) == side][:, ACTIVE] for x in (codes, drawn))
        assert abs(len(made) / len(drawn) - len(real) / len(codes)) < 0.02
        np.testing.assert_allclose(made.mean(0), real.mean(0), atol=0.08)
        np.testing.assert_allclose(np.cov(made.T), np.cov(real.T), atol=0.12)


def test_the_same_seeds_give_the_same_codes(codes):
    drawn = [
        sample_mixture(jax.random.key(2), 10, fit_mixture(codes, ACTIVE, components=3, seed=4))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*drawn)


def test_fewer_codes_than_components_are_named(codes):
    with pytest.raises(ValueError, match="at least as many as the 10 components, got 9"):
        fit_mixture(codes[:9], ACTIVE)
