"""Scores of entries against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.checks import lookup
from vae_topk_jax.scores import SCORES

NUMPY = {
    "abs_z": lambda z, mu, logvar: np.abs(z),
    "abs_mu": lambda z, mu, logvar: np.abs(mu),
    "kl": lambda z, mu, logvar: 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar),
    "signal_to_noise": lambda z, mu, logvar: mu**2 / np.exp(logvar),
    "one_minus_sigma": lambda z, mu, logvar: 1 - np.exp(logvar / 2),
}


@pytest.mark.parametrize("name", sorted(SCORES))
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.05)])
def test_agrees_with_numpy_and_is_float32(name, dtype, tolerance):
    batch = np.random.default_rng(0).normal(0.3, 1.0, (3, 32, 5))
    score = SCORES[name](*jnp.asarray(batch, dtype))
    assert score.dtype == jnp.float32
    np.testing.assert_allclose(score, NUMPY[name](*batch), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("mu", "logvar"), [(0.0, -200.0), (1e-30, -200.0), (1e30, 200.0)])
def test_zero_times_infinity_is_no_signal(mu, logvar):
    def score(mu, logvar):
        return SCORES["signal_to_noise"](mu, mu, logvar).sum()

    batch = jnp.full((1, 1), mu), jnp.full((1, 1), logvar)
    value, slopes = jax.value_and_grad(score, argnums=(0, 1))(*batch)
    assert [value, *(slope.item() for slope in slopes)] == [0, 0, 0]


def test_a_variance_that_overflows_has_a_finite_gradient():
    def score(logvar):
        return SCORES["kl"](jnp.zeros((1, 1)), jnp.zeros((1, 1)), logvar).sum()

    value, slope = jax.value_and_grad(score)(jnp.full((1, 1), 100.0))
    assert value == np.inf
    assert np.isfinite(slope) & (slope > 0)


def test_unknown_name_is_named():
    with pytest.raises(ValueError, match=r"score must be a callable or .*'abs_mu'.* got 'size'"):
        lookup("score", "size", SCORES)
