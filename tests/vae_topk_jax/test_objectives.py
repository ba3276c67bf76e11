"""The discrepancy against its sums and a closed form; the importance-weighted bound and its
gradient on a linear model, where everything is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.objectives import (
    IMQ_SCALES,
    doubly_reparameterized,
    importance_weighted_bound,
    log_prior_ratio,
    mmd,
)

X, SLOPE, OFFSET, LOGVAR = 1.5, 0.8, 0.3, -0.7  # x, p(x|z) = N(0.8 z, 1), q(z|x) = N(0.3 x, ...)


def transcribed(z, prior):
    """The estimate with inverse multiquadratics, pair by pair."""
    n, latents = z.shape

    def k(x, y):
        widths = 2 * latents * np.array(IMQ_SCALES)
        return np.sum(widths / (widths + np.sum((x - y) ** 2)))

    pairs = [(i, j) for i in range(n) for j in range(n)]
    within = sum(k(z[i], z[j]) + k(prior[i], prior[j]) for i, j in pairs if i != j)
    return within / (n * (n - 1)) - 2 * sum(k(z[i], prior[j]) for i, j in pairs) / n**2


def test_mmd_is_its_sums_and_padding_does_not_count():
    z, prior = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32)
    z += 0.5
    padded, valid = z.copy(), np.arange(7) != 2
    padded[2] = np.nan
    known = transcribed(z[valid], prior[valid])
    assert float(jax.jit(mmd)(padded, prior, valid)) == pytest.approx(known, rel=1e-5)


def test_mmd_is_unbiased():
    """Of N(m, I) and N(0, I) the radial basis has 2 (1 + 2/D)^(-D/2) (1 - exp(-|m|^2 / (2D + 4)));
    the mean over many small batches is that, also where m is 0."""
    rng = np.random.default_rng(1)
    z, prior = rng.normal(size=(2, 4000, 4, 2)).astype(np.float32)
    of_batches = jax.jit(jax.vmap(lambda z, prior: mmd(z, prior, kernel="rbf")))
    for shift in (0.0, 1.0):
        known = 2 * (1 + 2 / 2) ** -1 * (1 - np.exp(-2 * shift**2 / 8))
        found = np.asarray(of_batches(z + np.float32(shift), prior))
        assert found.mean() == pytest.approx(known, abs=4 * found.std() / np.sqrt(len(found)))


def test_other_shapes_and_kernels_are_refused():
    z_BxD = np.ones((4, 2), np.float32)
    with pytest.raises(ValueError, match=r"prior must have the shape of z, \(4, 2\), got \(4, 3\)"):
        mmd(z_BxD, np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match="kernel must be a callable or one of"):
        mmd(z_BxD, z_BxD, kernel="cosine")


def log_weights(z, offset, logvar, slope, beta=1.0):
    """log p(x|z) + beta (log p(z) - log q(z|x)), z_BxSx1; parameters as (B, 1)."""
    log_p = -0.5 * (jnp.log(2 * jnp.pi) + jnp.square(X - slope * z[:, :, 0]))
    return log_p + beta * log_prior_ratio(z, offset * X, logvar)


def drawn(offset, logvar, eps):
    return offset[:, None] * X + jnp.exp(0.5 * logvar)[:, None] * eps


def parameters(batch: int) -> tuple:
    return tuple(np.full((batch, 1), value, np.float32) for value in (OFFSET, LOGVAR, SLOPE))


@pytest.fixture(scope="module")
def eps() -> np.ndarray:
    """eps_BxSxD of 4000 repetitions of 16 draws."""
    return np.random.default_rng(2).normal(size=(4000, 16, 1)).astype(np.float32)


def test_the_bound_grows_from_the_elbo_towards_the_likelihood(eps):
    @jax.jit
    def bounds_of(offset, logvar, slope):
        log_w = log_weights(drawn(offset, logvar, eps), offset, logvar, slope)
        return log_w, [importance_weighted_bound(log_w[:, :s]) for s in (1, 4, 16)]

    log_w, bounds = jax.tree.map(np.asarray, bounds_of(*parameters(len(eps))))
    mu, variance = OFFSET * X, np.exp(LOGVAR)
    divergence = (mu**2 + variance - 1 - LOGVAR) / 2
    expected = (X - SLOPE * mu) ** 2 + SLOPE**2 * variance
    elbo = -0.5 * (np.log(2 * np.pi) + expected) - divergence
    evidence = -0.5 * (np.log(2 * np.pi * (SLOPE**2 + 1)) + X**2 / (SLOPE**2 + 1))
    error = 4 * bounds[0].std() / np.sqrt(len(eps))
    assert bounds[0].mean() == pytest.approx(elbo, abs=error)
    means = [bound.mean() for bound in bounds]
    assert elbo < means[1] < means[2] < evidence
    assert means[2] == pytest.approx(evidence, abs=0.02)
    w = np.exp(log_w.astype(np.float64))
    np.testing.assert_allclose(bounds[2], np.log(w.mean(axis=1)), rtol=1e-5)

    precision = SLOPE**2 + 1
    known = (SLOPE / precision, -np.log(precision), SLOPE)  # q(z|x) = p(z|x)
    of_posterior, _ = bounds_of(*(np.full((len(eps), 1), x, np.float32) for x in known))
    np.testing.assert_allclose(of_posterior, evidence, rtol=1e-5)  # every weight is p(x)


@pytest.fixture(scope="module")
def gradients(eps):
    """The gradients of each repetition by (offset, logvar, slope), at beta 1 and 0.5: doubly
    reparameterised, and plain."""

    def doubly(offset, logvar, slope, beta):
        held = jax.lax.stop_gradient((offset, logvar))
        of = lambda z: log_weights(z, *held, slope, beta)  # noqa: E731
        log_w = doubly_reparameterized(of, drawn(offset, logvar, eps), beta)
        return importance_weighted_bound(log_w).sum()

    def plain(offset, logvar, slope, beta):
        log_w = log_weights(drawn(offset, logvar, eps), offset, logvar, slope, beta)
        return importance_weighted_bound(log_w).sum()

    @jax.jit
    def of_both(beta):
        return [jax.grad(of, (0, 1, 2))(*parameters(len(eps)), beta) for of in (doubly, plain)]

    return {beta: jax.tree.map(np.asarray, of_both(beta)) for beta in (1.0, 0.5)}


def test_the_encoders_gradient_has_squared_weights_and_the_decoders_plain_ones(eps, gradients):
    e = eps[:, :, 0].astype(np.float64)
    mu, sigma = OFFSET * X, np.exp(LOGVAR / 2)
    z = mu + sigma * e
    log_w = -0.5 * (X - SLOPE * z) ** 2 + 0.5 * (LOGVAR + e**2 - z**2)
    share = np.exp(log_w) / np.exp(log_w).sum(axis=1, keepdims=True)
    by_z = SLOPE * (X - SLOPE * z) - z + e / sigma  # of log w, q's parameters held
    known = (
        (share**2 * by_z * X).sum(axis=1),
        (share**2 * by_z * sigma * e / 2).sum(axis=1),
        (share * (X - SLOPE * z) * z).sum(axis=1),
    )
    for found, expected in zip(gradients[1.0][0], known, strict=True):
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_the_gradient_is_that_of_the_bound_with_less_noise(gradients, beta):
    doubly, plain = gradients[beta]
    for one, other in zip(doubly[:2], plain[:2], strict=True):
        error = 4 * (one - other).std() / np.sqrt(len(one))
        assert one.mean() == pytest.approx(other.mean(), abs=error)
    if beta == 1.0:
        assert doubly[0].std() < 0.5 * plain[0].std()
    np.testing.assert_allclose(doubly[2], plain[2], rtol=1e-5)
