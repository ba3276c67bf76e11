"""Bounds of the likelihood against quadrature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_topk_jax import VAE
from vae_topk_jax.metrics import likelihood
from vae_topk_jax.metrics.likelihood import likelihood_bounds

RNG = np.random.default_rng(0)
SHAPE = (2, 3, 1)
DECODER = {"w": RNG.normal(0, 1.5, (2, 6)), "b": RNG.normal(0, 0.5, 6)}
MU, LOGVAR = np.array([0.6, -0.4]), np.array([-0.5, 0.3])
IMAGES = RNG.integers(0, 2, (3, *SHAPE)).astype(np.float32)


def posterior(variables, x):
    """The same for every image, and no image's true one."""
    return tuple(
        jnp.broadcast_to(jnp.asarray(row, jnp.float32)[None], (len(x), 2)) for row in (MU, LOGVAR)
    )


def linear_logits(variables, z):
    return (z @ variables["w"] + variables["b"][None]).reshape(-1, *SHAPE)


VARIABLES = {name: jnp.asarray(value, jnp.float32) for name, value in DECODER.items()}
bounds_of = functools.partial(likelihood_bounds, posterior, linear_logits, VARIABLES)


def log_likelihood(x_P, logits_GxP):
    """log p(x|z) on a grid of z, in float64."""
    x_1xP = x_P.astype(np.float64).reshape(1, -1)
    return np.sum(x_1xP * logits_GxP - np.logaddexp(0, logits_GxP), axis=1)


@pytest.fixture(scope="module")
def exact() -> dict[str, np.ndarray]:
    """log p(x) and the ELBO by quadrature."""
    axis = np.linspace(-9, 9, 601)
    z_Gx2 = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    area = (axis[1] - axis[0]) ** 2
    log_prior_G = stats.norm.logpdf(z_Gx2).sum(1)
    log_q_G = stats.norm.logpdf(z_Gx2, MU, np.exp(LOGVAR / 2)).sum(1)
    log_p_NxG = np.stack([log_likelihood(x, z_Gx2 @ DECODER["w"] + DECODER["b"]) for x in IMAGES])
    joint_NxG = log_p_NxG + log_prior_G
    return {
        "log_p": np.log(np.sum(np.exp(joint_NxG), axis=1) * area),
        "elbo": np.sum(np.exp(log_q_G) * (joint_NxG - log_q_G), axis=1) * area,
    }


def test_the_elbo_is_that_of_quadrature(exact):
    bounds = bounds_of(IMAGES, jax.random.key(1), samples=40_000)
    np.testing.assert_allclose(bounds.elbo_N, exact["elbo"], atol=0.04)
    kl = 0.5 * np.sum(np.exp(LOGVAR) + MU**2 - 1 - LOGVAR)
    np.testing.assert_allclose(bounds.kl_N, kl, rtol=1e-5)


def test_the_bound_of_many_samples_is_the_likelihood(exact):
    bounds = bounds_of(IMAGES, jax.random.key(2), samples=40_000)
    np.testing.assert_allclose(bounds.importance_N, exact["log_p"], atol=0.03)


def test_the_bound_grows_from_the_elbo_to_the_likelihood(exact):
    copies = np.repeat(IMAGES[:1], 4000, axis=0)
    means = [
        bounds_of(copies, jax.random.key(samples), samples=samples).importance_N.mean()
        for samples in (1, 4, 64)
    ]
    elbo, log_p = exact["elbo"][0], exact["log_p"][0]
    np.testing.assert_allclose(means[0], elbo, atol=0.15)
    assert means[0] + 0.2 < means[1] < means[2] < log_p
    np.testing.assert_allclose(means[2], log_p, atol=0.05)


def test_the_bounds_of_a_vae_of_the_package_hold_against_quadrature():
    model = VAE(SHAPE, latent_dim=1, widths=(5,), likelihood="bernoulli")
    variables = model.init(jax.random.key(0), jnp.zeros((1, *SHAPE)))
    variables = jax.tree.map(lambda leaf: 2 * leaf, variables)
    logits = functools.partial(model.apply, method=lambda vae, z: vae.decoder(z))
    bounds = likelihood_bounds(
        functools.partial(model.apply, method="posterior"),
        logits,
        variables,
        IMAGES,
        jax.random.key(3),
        samples=40_000,
    )
    z_Gx1 = np.linspace(-8, 8, 2001)[:, None]
    logits_GxP = np.asarray(logits(variables, jnp.asarray(z_Gx1, jnp.float32))).reshape(2001, -1)
    log_p_NxG = np.stack([log_likelihood(x, logits_GxP.astype(np.float64)) for x in IMAGES])
    joint_NxG = np.exp(log_p_NxG + stats.norm.logpdf(z_Gx1[:, 0]))
    np.testing.assert_allclose(
        bounds.importance_N, np.log(np.trapezoid(joint_NxG, z_Gx1[:, 0], axis=1)), atol=0.03
    )
    assert np.all(bounds.elbo_N < bounds.importance_N)


def test_images_are_measured_chunk_by_chunk_with_draws_of_their_own(monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", 2)
    same = np.repeat(IMAGES[:1], 5, axis=0)
    bounds = bounds_of(same, jax.random.key(0), samples=3)
    assert len(set(bounds.importance_N.tolist())) == 5
    np.testing.assert_array_equal(
        bounds.importance_N, bounds_of(same, jax.random.key(0), samples=3).importance_N
    )


@pytest.mark.parametrize(
    ("images", "samples", "message"),
    [
        (IMAGES, 0, "samples must be at least 1, got 0"),
        (IMAGES[:0], 1, r"images must be \(N, H, W, C\), N >= 1, got shape \(0, 2, 3, 1\)"),
        (255 * IMAGES, 1, r"images must lie in \[0, 1\], got 0 to 255"),
        (IMAGES * np.nan, 1, r"images must lie in \[0, 1\], got nan to nan"),
    ],
)
def test_bad_arguments_are_named(images, samples, message):
    with pytest.raises(ValueError, match=message):
        bounds_of(images, jax.random.key(0), samples=samples)
