"""Codes of independent latents."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from vae_topk_jax.priors.independent import sample_prior

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
