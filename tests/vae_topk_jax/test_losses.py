"""Loss terms against NumPy and SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from vae_topk_jax.losses import (
    batch_average,
    bernoulli_nll,
    gaussian_kl,
    masked_kl,
    normal_nll,
    spike_and_slab_kl,
    squared_distance,
    squared_error,
)

OF_LOGITS = {"gaussian": squared_error, "bernoulli": bernoulli_nll}
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
        term_B = OF_LOGITS[name](jnp.asarray(logits), jnp.asarray(target), reduction)
        np.testing.assert_allclose(term_B, REDUCE[reduction](values, axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("shape", [(), (4, 5, 1)], ids=str)
def test_normal_likelihoods_are_those_of_scipy(images, shape, reduction):
    mean, target = images
    logvar = np.random.default_rng(1).normal(-1, 2, shape).astype(np.float32)
    expected = -stats.norm(mean, np.exp(logvar / 2)).logpdf(target.astype(np.float64))
    nll_B = normal_nll(mean, target, reduction, logvar=jnp.asarray(logvar))
    np.testing.assert_allclose(nll_B, REDUCE[reduction](expected, axis=(1, 2, 3)), rtol=2e-5)


def test_the_squared_distance_is_a_unit_normal_up_to_a_constant(images):
    mean, target = map(jnp.asarray, images)
    nll_B = normal_nll(mean, target, "sum", logvar=jnp.zeros(()))
    constant = mean[0].size * np.log(2 * np.pi)
    np.testing.assert_allclose(
        squared_distance(mean, target, "sum"), 2 * nll_B - constant, rtol=1e-5
    )


def test_variances_of_another_shape_are_refused(images):
    with pytest.raises(ValueError, match=r"logvar must have shape \(\) or \(4, 5, 1\), got \(5,\)"):
        normal_nll(*map(jnp.asarray, images), "sum", logvar=jnp.zeros(5))
    with pytest.raises(ValueError, match="target must have the shape of mean"):
        squared_distance(jnp.zeros((1, 2, 2, 1)), jnp.zeros((1, 2, 2, 3)), "sum")


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


@pytest.fixture
def posterior() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    mu, logvar = rng.normal(0, 1, (2, 4, 6)).astype(np.float32)
    return [mu, logvar, rng.random((4, 6)).astype(np.float32)]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("inactive", [0.0, 0.5, 1.0, 3.0])
def test_masked_kl_weights_the_masked_entries(posterior, inactive, reduction):
    mu, logvar, noise = posterior
    mask = (noise > 0.5).astype(np.float32)
    weight = np.where(mask == 1, 1, inactive)
    expected = REDUCE[reduction](weight * (mu**2 + np.exp(logvar) - 1 - logvar) / 2, axis=1)
    term_B = masked_kl(*map(jnp.asarray, (mu, logvar, mask)), inactive, reduction)
    np.testing.assert_allclose(term_B, expected, rtol=1e-5)
    if inactive == 1:
        np.testing.assert_array_equal(term_B, gaussian_kl(mu, logvar, reduction))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_spike_and_slab_kl_agrees_with_numerical_integration(posterior, reduction):
    mu, logvar, gate = (x.astype(np.float64) for x in posterior)
    rate, grid = 0.2, np.linspace(-40, 40, 20_001)[:, None, None]
    slab = stats.norm(mu, np.exp(logvar / 2))
    log_ratio = np.log(gate / rate) + slab.logpdf(grid) - stats.norm.logpdf(grid)
    at_spike = (1 - gate) * np.log((1 - gate) / (1 - rate))
    expected = at_spike + np.trapezoid(gate * slab.pdf(grid) * log_ratio, grid, axis=0)
    term_B = spike_and_slab_kl(*map(jnp.asarray, posterior), rate, reduction)
    np.testing.assert_allclose(term_B, REDUCE[reduction](expected, axis=1), rtol=1e-5)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_spike_and_slab_kl_is_least_where_the_posterior_is_the_prior(rate):
    def kl(mu, logvar, gate) -> jax.Array:
        return spike_and_slab_kl(*(jnp.full((1, 1), x) for x in (mu, logvar, gate)), rate, "sum")[0]

    np.testing.assert_allclose(kl(0.0, 0.0, rate), 0, atol=1e-6)
    for gate in np.linspace(0, 1, 11):
        assert kl(0.0, 0.0, gate) >= -1e-6
        assert kl(0.7, -0.5, gate) >= kl(0.0, 0.0, gate)


@pytest.mark.parametrize("gate", [0.0, 1e-12, 1.0])
def test_spike_and_slab_kl_is_finite_with_its_gradient_where_the_gate_is_shut_or_open(gate):
    def total(gate):
        return spike_and_slab_kl(jnp.ones((1, 1)), jnp.zeros((1, 1)), gate, 0.1, "sum").sum()

    value, grad = jax.value_and_grad(total)(jnp.full((1, 1), gate))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()


ZERO_WEIGHT = {
    "masked_kl": lambda mu, logvar, weight: masked_kl(mu, logvar, weight, 0.0, "sum").sum(),
    "spike_and_slab_kl": lambda mu, logvar, gate: spike_and_slab_kl(
        mu, logvar, gate, 0.5, "sum"
    ).sum(),
}


@pytest.mark.parametrize("name", sorted(ZERO_WEIGHT))
@pytest.mark.parametrize(
    ("mu", "logvar"),
    [(0.0, 100.0), (1e30, 0.0), (np.inf, 0.0), (0.0, -np.inf), (0.0, np.inf), (np.nan, np.nan)],
)
def test_a_weight_of_zero_takes_out_whatever_is_there(name, mu, logvar):
    def loss(mu, logvar):
        posterior = jnp.array([[2.0, mu]]), jnp.array([[0.3, logvar]])
        weight = jnp.array([[1.0, 0.0]])
        return jax.value_and_grad(ZERO_WEIGHT[name], argnums=(0, 1))(*posterior, weight)

    (value, slopes), (expected, expected_slopes) = loss(mu, logvar), loss(0.0, 0.0)
    assert value == expected
    np.testing.assert_array_equal(slopes, expected_slopes)


@pytest.mark.parametrize("inactive", [0.0, 0.5])
def test_a_weight_of_zero_has_the_gradient_of_its_entry(posterior, inactive):
    """What would be won by opening a gate that is shut."""
    mu, logvar, _ = map(jnp.asarray, posterior)
    shut = jnp.zeros_like(mu)
    slope = jax.grad(lambda mask: masked_kl(mu, logvar, mask, inactive, "sum").sum())(shut)
    expected = (1 - inactive) * (mu**2 + np.exp(logvar) - 1 - logvar) / 2
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_padding_that_overflows_has_no_gradient():
    def loss(logvar):
        return batch_average(gaussian_kl(jnp.ones((2, 1)), logvar, "sum"), jnp.array([1, 0]))

    value, slope = jax.value_and_grad(loss)(jnp.array([[0.0], [100.0]]))
    assert value == 0.5
    np.testing.assert_array_equal(slope, np.zeros((2, 1)))


@pytest.mark.parametrize("scale", [1e-8, 1e-6, 1e-4, 1e-2, 0.1, 1.0])
def test_divergences_keep_their_digits_near_zero(scale):
    rng = np.random.default_rng(2)
    mu, logvar, step = rng.normal(0, scale, (3, 500, 1)).astype(np.float32)
    rate = np.float32(0.2)
    gate = np.clip(rate + rate * step, 0.01, 0.99)
    exact = functools.partial(np.asarray, dtype=np.longdouble)

    normal = (exact(mu) ** 2 + np.expm1(exact(logvar)) - exact(logvar)) / 2
    np.testing.assert_allclose(gaussian_kl(mu, logvar, "sum"), normal[:, 0], rtol=5e-5)

    pairs = [(exact(gate), exact(rate)), (1 - exact(gate), 1 - exact(rate))]
    support = sum(p * np.log(p / q) for p, q in pairs)
    zeros = np.zeros_like(gate)
    found = spike_and_slab_kl(zeros, zeros, gate, rate, "sum")
    np.testing.assert_allclose(found, support[:, 0], rtol=5e-5, atol=1e-17)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, np.nan, np.array([[0.5, 0.0]])])
def test_a_rate_that_is_no_probability_of_both_is_refused(rate):
    zeros = jnp.zeros((1, 2))
    with pytest.raises(ValueError, match=r"rate must lie in \(0, 1\), got "):
        spike_and_slab_kl(zeros, zeros, zeros, rate, "sum")


def test_an_infinite_logit_costs_nothing_where_it_is_right_and_everything_where_not():
    logits = jnp.array([jnp.inf, -jnp.inf, jnp.inf, -jnp.inf]).reshape(4, 1, 1, 1)
    target = jnp.array([1.0, 0.0, 0.0, 0.5]).reshape(4, 1, 1, 1)
    np.testing.assert_array_equal(bernoulli_nll(logits, target, "sum"), [0, 0, np.inf, np.inf])


@pytest.mark.parametrize("logit", [-200.0, 200.0])
@pytest.mark.parametrize("name", sorted(OF_LOGITS))
def test_extreme_logits_stay_finite_with_their_gradients(name, logit):
    def total(logits):
        return OF_LOGITS[name](logits, jnp.full((1, 1, 1, 1), 0.5), "sum").sum()

    value, grad = jax.value_and_grad(total)(jnp.full((1, 1, 1, 1), logit))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()


def test_batch_average_leaves_padding_out():
    values, valid = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1, 1, 0])
    assert batch_average(values, valid) == 1.5
    assert batch_average(values[:2]) == 1.5
