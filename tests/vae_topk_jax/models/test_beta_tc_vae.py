"""The total correlation of a batch: the formula, a known value, padding; and its place in the
loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.models import BetaTCVAE, BetaVAE
from vae_topk_jax.models.beta_tc_vae import total_correlation

compiled = jax.jit(total_correlation)
SIZES = {"image_shape": (2, 2, 1), "latent_dim": 3, "widths": (4,)}


@pytest.fixture(scope="module")
def posteriors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, mu and logvar of 7 examples and 3 latents."""
    rng = np.random.default_rng(0)
    mu, logvar, eps = rng.normal(size=(3, 7, 3))
    return mu + np.exp(logvar / 2) * eps, mu, logvar


def transcribed(z, mu, logvar):
    """sum by sum, as the equation has it."""
    total = 0.0
    for z_i in z:
        density = np.exp(-((z_i - mu) ** 2) / (2 * np.exp(logvar)))
        density = density / np.sqrt(2 * np.pi * np.exp(logvar))
        total += np.log(density.prod(axis=1).mean()) - np.log(density.mean(axis=0)).sum()
    return total / len(z)


def test_the_formula(posteriors):
    given = [np.asarray(x, np.float32) for x in posteriors]
    assert float(compiled(*given)) == pytest.approx(transcribed(*given), rel=1e-5)


def test_padding_does_not_count(posteriors):
    short = [np.asarray(x[:5], np.float32) for x in posteriors]
    padded = [np.asarray(x, np.float32).copy() for x in posteriors]
    padded[0][5:] = np.nan
    valid = np.arange(7) < 5
    found = compiled(*padded, jnp.asarray(valid))
    assert float(found) == pytest.approx(transcribed(*short), rel=1e-5)


def test_a_gaussian_has_its_known_total_correlation():
    """Means N(0, C) and posteriors of variance s^2: q(z) is N(0, C + s^2), of which
    TC = (sum_d log S_dd - log det S) / 2."""
    rng = np.random.default_rng(1)
    covariance = np.array([[1.0, 0.8], [0.8, 1.5]])
    noise = 0.5
    mu = rng.multivariate_normal([0, 0], covariance, 1500)
    z = mu + noise * rng.normal(size=mu.shape)
    logvar = np.full(mu.shape, 2 * np.log(noise))
    whole = covariance + noise**2 * np.eye(2)
    known = (np.log(np.diag(whole)).sum() - np.linalg.slogdet(whole)[1]) / 2
    found = compiled(*(np.asarray(x, np.float32) for x in (z, mu, logvar)))
    assert float(found) == pytest.approx(known, abs=0.04)
    assert known > 0.15
    apart = mu.copy()
    apart[:, 1] = rng.permutation(apart[:, 1])
    z = apart + noise * rng.normal(size=mu.shape)
    found = compiled(*(np.asarray(x, np.float32) for x in (z, apart, logvar)))
    assert float(found) == pytest.approx(0, abs=0.04)


def test_other_shapes_are_refused():
    z_BxD = jnp.ones((4, 2))
    with pytest.raises(ValueError, match=r"mu must have the shape of z, \(4, 2\), got \(4, 3\)"):
        total_correlation(z_BxD, jnp.ones((4, 3)), z_BxD)


@pytest.mark.parametrize(("reduction", "latents"), [("sum", 1), ("mean", 3)])
def test_the_loss_is_that_of_the_beta_vae_and_the_weighted_term(reduction, latents):
    fields = SIZES | {"beta": 2.0, "beta_warmup": 0.5, "latent_reduction": reduction}
    plain, model = BetaVAE(**fields), BetaTCVAE(**fields, tc_weight=3.0)
    x = jax.random.uniform(jax.random.key(0), (6, 2, 2, 1))
    variables = jax.jit(plain.init)(jax.random.key(1), x)

    def loss(of, **options):
        given = {"method": "loss", "rngs": {"latent": jax.random.key(2)}} | options
        return jax.jit(lambda v: of.apply(v, x, x, **given))(variables)

    loss_with, terms = loss(model, train=True, progress=0.25)
    without, _ = loss(plain, train=True, progress=0.25)
    added = 0.5 * 2.0 * 3.0 * terms["total_correlation"] / latents  # beta has risen by half
    np.testing.assert_allclose(loss_with, without + added, rtol=1e-5)
    if reduction == "sum":
        of_images, terms = loss(model, train=False)  # a single image has no total correlation
        assert "total_correlation" not in terms
        np.testing.assert_allclose(of_images, loss(plain, train=False)[0], rtol=1e-6)
