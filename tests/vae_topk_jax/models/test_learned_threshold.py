"""Sparse coding with a learnt threshold against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests.helpers.models import MLP, loss
from tests.helpers.params import long_but
from vae_topk_jax.config import Config
from vae_topk_jax.models import LearnedThreshold
from vae_topk_jax.models.learned_threshold import NOISES, Thresholded

BASES = {"laplace": stats.laplace, "gaussian": stats.norm}
NAMES = long_but({"laplace"}, NOISES)
MODEL = LearnedThreshold(**MLP, k=2, beta=0.1, beta_warmup=0.0)


def kl_of(p, q, at: np.ndarray) -> float:
    """KL(p || q) in nats by quadrature."""
    return np.trapezoid(np.exp(p.logpdf(at)) * (p.logpdf(at) - q.logpdf(at)), at)


def thresholded(mu: float, scale: float, shape: float, rate: float, n: int = 1) -> Thresholded:
    logs = (jnp.full((n, 1), np.log(x), jnp.float32) for x in (scale, shape, rate))
    return Thresholded(jnp.full((n, 1), mu, jnp.float32), *logs)


@pytest.mark.parametrize("name", NAMES)
def test_divergences_and_probabilities_are_those_of_the_distributions(name):
    noise, base = NOISES[name], BASES[name]
    of = thresholded(1.3, 0.4, 3.0, 5.0)
    expected = kl_of(base(1.3, 0.4), base(), np.linspace(-12, 12, 400_001))
    np.testing.assert_allclose(noise.kl(of.mu_BxD, of.logscale_BxD), expected, rtol=1e-4)
    expected = kl_of(
        stats.gamma(3.0, scale=1 / 5), stats.gamma(2.0, scale=0.35), np.linspace(1e-9, 20, 400_001)
    )
    np.testing.assert_allclose(of.threshold_kl(0.7), expected, rtol=1e-4)
    np.testing.assert_allclose(of.active(of.threshold(), noise), 2 * base.sf(0.6 / 0.4), rtol=1e-5)
    assert noise.size(0.3) == pytest.approx(base.isf(0.15))


@pytest.mark.parametrize("name", NAMES)
def test_entries_are_active_as_often_as_their_noise_exceeds_the_threshold(name):
    noise, of = NOISES[name], thresholded(3.0, 0.5, 2.0, 4.0, n=20_000)
    threshold = of.threshold()
    z, pull_back = jax.vjp(lambda of: of.sample(jax.random.key(0), threshold, noise), of)
    p = float(of.active(threshold, noise)[0, 0])
    is_active = np.asarray(z) != 0
    assert is_active.mean() == pytest.approx(p, abs=0.015)
    assert np.asarray(z)[is_active].mean() == pytest.approx(3.0, abs=0.02)
    (slope,) = pull_back(jnp.ones_like(z))
    np.testing.assert_allclose(slope.mu_BxD, is_active, atol=1e-6)
    assert np.all(slope.logscale_BxD[~is_active] > 0)  # more noise would make them active


@pytest.mark.long
def test_thresholds_are_drawn_from_their_gamma():
    drawn = np.asarray(thresholded(0.0, 1.0, 3.0, 5.0, n=20_000).drawn_threshold(jax.random.key(0)))
    assert drawn.mean() == pytest.approx(0.6, rel=0.03)
    assert drawn.std() == pytest.approx(np.sqrt(3) / 5, rel=0.03)


@pytest.mark.long
def test_the_loss_is_the_bound_before_the_threshold():
    x = jax.random.uniform(jax.random.key(0), (4, *MLP["image_shape"]))
    variables = jax.jit(MODEL.init)(jax.random.key(1), x)
    head = variables["params"]["threshold_head"]
    head["kernel"] = 3 * jax.random.normal(jax.random.key(2), head["kernel"].shape)

    @jax.jit
    def run(variables):
        of = MODEL.apply(variables, x, method="inferred")
        codes = MODEL.apply(variables, x, method="encode")
        return of, codes, loss(MODEL, variables, x, train=False)[0]

    of, codes, (total, terms) = run(variables)
    noise = NOISES["laplace"]
    likely = np.exp(-np.asarray(of.threshold()) / np.exp(of.logscale_BxD)) >= 0.5
    assert 0 < likely.mean() < 1
    np.testing.assert_array_equal(codes, np.where(likely, of.mu_BxD, 0))
    mean = MODEL.prior_threshold
    assert mean == pytest.approx(np.log(3))
    kl = noise.kl(of.mu_BxD, of.logscale_BxD) + of.threshold_kl(mean)
    np.testing.assert_allclose(terms["kl"], np.mean(kl), rtol=1e-5)
    np.testing.assert_allclose(total, terms["reconstruction"] + 0.1 * np.mean(kl), rtol=1e-5)


def test_codes_of_the_prior_have_k_of_d_active_at_its_threshold():
    model = LearnedThreshold(**MLP, k=2, noise="gaussian", threshold="fixed")
    drawn = model.apply({}, 4000, jnp.ones(6), method="prior", rngs={"latent": jax.random.key(0)})
    np.testing.assert_allclose((np.asarray(drawn) != 0).mean(axis=0), 2 / 6, atol=0.03)


def test_what_it_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"^noise must be one of"):
        Config("learned_threshold", noise="uniform")
    with pytest.raises(ValueError, match=r"^k must be at most latent_dim, 8, got 9$"):
        Config("learned_threshold", k=9, latent_dim=8)
    assert Config("learned_threshold").system.summary.endswith("under the prior, laplace noise")
