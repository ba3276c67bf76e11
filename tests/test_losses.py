"""Loss terms against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from vae_topk_jax.losses import RECONSTRUCTIONS, batch_average, gaussian_kl

REDUCE = {"sum": np.sum, "mean": np.mean}


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (3, 4, 5, 1)).astype(np.float32)
    return logits, rng.random(logits.shape).astype(np.float32)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reconstructions_agree_with_numpy(images, reduction):
    logits, target = images
    p = special.expit(logits.astype(np.float64))
    expected = {
        "gaussian": (p - target) ** 2,
        "bernoulli": -(target * np.log(p) + (1 - target) * np.log1p(-p)),
    }
    for name, values in expected.items():
        term_B = RECONSTRUCTIONS[name](jnp.asarray(logits), jnp.asarray(target), reduction)
        np.testing.assert_allclose(term_B, REDUCE[reduction](values, axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_kl_agrees_with_numerical_integration(reduction):
    mu, sigma = np.array([0.0, 1.5, -0.3]), np.array([1.0, 0.2, 2.0])
    grid = np.linspace(-25, 25, 200_001)[:, None]
    q = stats.norm(mu, sigma)
    integrand = q.pdf(grid) * (q.logpdf(grid) - stats.norm.logpdf(grid))
    expected = np.trapezoid(integrand, grid, axis=0)
    term_B = gaussian_kl(
        jnp.asarray(mu[None], jnp.float32),
        jnp.asarray(2 * np.log(sigma)[None], jnp.float32),
        reduction,
    )
    np.testing.assert_allclose(term_B, [REDUCE[reduction](expected)], rtol=1e-5)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
@pytest.mark.parametrize("name", sorted(RECONSTRUCTIONS))
def test_extreme_logits_stay_finite_with_their_gradients(name, logit):
    def total(logits):
        return RECONSTRUCTIONS[name](logits, jnp.full((1, 1, 1, 1), 0.5), "sum").sum()

    value, grad = jax.value_and_grad(total)(jnp.full((1, 1, 1, 1), logit))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()


def test_batch_average_leaves_padding_out():
    values, valid = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1, 1, 0])
    assert batch_average(values, valid) == 1.5
    assert batch_average(values[:2]) == 1.5
