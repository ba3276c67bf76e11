"""Variational Sparse Coding: both priors against NumPy, the relaxed spike, the schedules."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from tests.helpers.models import MLP, SHAPE, SUMS, loss
from vae_topk_jax.models import VSC
from vae_topk_jax.models.vsc import MARGIN, SpikeAndSlab, log_gate
from vae_topk_jax.priors import mixture
from vae_topk_jax.priors.prior import Examples, draw

D, K, U = MLP["latent_dim"], 2, 3
PRIORS = ["pseudo_inputs", "fixed"]


def vsc(prior: str = "pseudo_inputs", **options) -> VSC:
    usual = {"k": K, "vsc_prior": prior, "pseudo_inputs": U, "beta": 1.0, **SUMS}
    return VSC(**MLP | usual | options)


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (5, *SHAPE))


@functools.cache
def variables_of(prior: str) -> dict:
    """Weights with gates that are 0, 1 and between, and slabs that differ."""
    variables = jax.jit(vsc(prior).init)(jax.random.key(1), jnp.zeros((1, *SHAPE)))
    for name, scale in (("mu_head", 3.0), ("logvar_head", 3.0), ("gate_head", 4.0)):
        variables["params"][name]["kernel"] *= scale
    variables["params"]["gate_head"]["bias"] = jnp.array([0.0, -1, -1, -2, -200, 200])
    return variables


@functools.cache
def compiled(model: VSC, method: str):
    return jax.jit(functools.partial(model.apply, method=method))


@functools.cache
def compiled_loss(model: VSC):
    return jax.jit(functools.partial(loss, model))


def posterior_of(prior: str, x: jax.Array, progress: float = 1.0) -> SpikeAndSlab:
    return compiled(vsc(prior), "posterior")(variables_of(prior), x, progress)


def numpy_kl(q, p, slab: bool = True) -> np.ndarray:
    """KL of each entry between spikes and slabs (mu, logvar, gate), in float64."""
    (mu, logvar, gate), (mu_p, logvar_p, gate_p) = (
        [np.asarray(value, np.float64) for value in side] for side in (q, p)
    )
    var, var_p = np.exp(logvar), np.exp(logvar_p)
    gaussian = 0.5 * (logvar_p - logvar + (var + (mu - mu_p) ** 2) / var_p - 1)
    spike = special.rel_entr(gate, gate_p) + special.rel_entr(1 - gate, 1 - gate_p)
    return gate * gaussian * slab + spike


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_kl_to_the_fixed_prior_agrees_with_numpy(x, reduction):
    q = posterior_of("fixed", x)
    model = vsc("fixed", latent_reduction=reduction)
    kl_B = compiled(model, "divergence")(variables_of("fixed"), q, x)
    expected_BxD = numpy_kl(q, (0.0, 0.0, K / D))
    np.testing.assert_allclose(kl_B, getattr(expected_BxD, reduction)(axis=1), rtol=1e-4)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_kl_to_the_pseudo_inputs_agrees_with_numpy(x, reduction):
    model = vsc(latent_reduction=reduction)
    params = variables_of("pseudo_inputs")["params"]
    q = posterior_of("pseudo_inputs", x)
    kl_B = compiled(model, "divergence")({"params": params}, q, x)

    selector = jax.tree.map(np.asarray, params["selector"])
    pixels_BxP = np.asarray(x, np.float64).reshape(len(x), -1)
    weight_BxU = special.softmax(pixels_BxP @ selector["kernel"] + selector["bias"], axis=1)
    mu_UxD, logvar_UxD, gate_UxD = posterior_of("pseudo_inputs", params["pseudo_UxHxWxC"])
    gate_UxD = np.clip(np.asarray(gate_UxD), MARGIN, 1 - MARGIN)
    chosen = [
        weight_BxU[:, u, None] * numpy_kl(q, (mu_UxD[u], logvar_UxD[u], gate_UxD[u]))
        for u in range(U)
    ]
    mean_B = (weight_BxU @ gate_UxD).mean(axis=1, keepdims=True)
    held = numpy_kl((0.0, 0.0, np.repeat(mean_B, D, axis=1)), (0.0, 0.0, K / D))
    expected_BxD = sum(chosen) + held
    np.testing.assert_allclose(kl_B, getattr(expected_BxD, reduction)(axis=1), rtol=1e-4)


def test_the_weighted_kl_is_no_less_than_that_to_the_mixture():
    """One dimension, by the masses of the spike and of the cells of a grid."""
    grid = np.linspace(-12, 12, 20_001)

    def masses(mu: float, logvar: float, gate: float) -> np.ndarray:
        density = np.exp(-0.5 * (grid - mu) ** 2 / np.exp(logvar) - 0.5 * logvar)
        return np.append(gate * density / density.sum(), 1 - gate)

    q, sides = (0.3, -1.0, 0.7), [(0.0, 0.0, 0.2), (1.0, -0.5, 0.9)]
    weights = np.array([0.4, 0.6])
    mixture = weights @ np.stack([masses(*side) for side in sides])
    exact = special.rel_entr(masses(*q), mixture).sum()
    bound = weights @ [numpy_kl(q, side) for side in sides]
    assert 0 < exact < bound


def test_a_relaxed_sample_agrees_with_numpy(x):
    q = posterior_of("fixed", x)
    key = jax.random.key(5)
    eta_key, eps_key = jax.random.split(key)
    eta, eps = jax.random.uniform(eta_key, (5, D)), jax.random.normal(eps_key, (5, D))
    spike = special.expit(80.0 * (np.float64(eta) - 1 + q.gate_BxD))
    expected = spike * (q.mu_BxD + np.exp(q.logvar_BxD / 2) * eps)
    np.testing.assert_allclose(q.relaxed_sample(key, 80.0), expected, atol=1e-5)


@pytest.mark.parametrize("gate", [0.0, 0.2, 0.7, 1.0])
def test_a_steeper_spike_is_nearer_to_zeros_and_ones(gate):
    shape = (4000, 1)
    q = SpikeAndSlab(jnp.ones(shape), jnp.full(shape, -30.0), jnp.full(shape, gate))
    between = []
    for steepness in (50.0, 200.0):
        spike = np.asarray(q.relaxed_sample(jax.random.key(0), steepness))
        np.testing.assert_allclose(spike.mean(), gate, atol=0.03)
        between.append(np.mean((spike > 0.01) & (spike < 0.99)))
    assert between[1] < 0.5 * between[0]
    exact = np.asarray(q.sample(jax.random.key(0)))
    np.testing.assert_allclose(np.mean(exact != 0), gate, atol=0.03)


@pytest.mark.parametrize(("progress", "steepness"), [(0.0, 50.0), (0.5, 125.0), (1.0, 200.0)])
def test_training_steepens_the_spike(x, progress, steepness):
    model = vsc("fixed", slab_warmup=0.0)
    variables = variables_of("fixed")
    (_, terms), _ = compiled_loss(model)(variables, x, progress=progress)

    def expected(model: VSC, x: jax.Array) -> jax.Array:
        z = model.posterior(x).relaxed_sample(model.make_rng("latent"), steepness)
        return jnp.mean(jnp.sum(jnp.square(model.decode(z) - x), axis=(1, 2, 3)))

    rngs = {"latent": jax.random.key(2)}
    np.testing.assert_allclose(
        terms["reconstruction"], model.apply(variables, x, method=expected, rngs=rngs), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("warmup", "progress", "share"),
    [(0.4, 0.0, 0.0), (0.4, 0.2, 0.0), (0.4, 0.3, 0.5), (0.4, 0.4, 1.0), (0.0, 0.0, 1.0)],
)
def test_slabs_warm_up_after_the_spikes(x, warmup, progress, share):
    model = vsc(slab_warmup=warmup)
    mu, logvar, gate = posterior_of("pseudo_inputs", x)
    variables = variables_of("pseudo_inputs")
    warming = compiled(model, "posterior")(variables, x, progress)
    np.testing.assert_allclose(warming.mu_BxD, share * mu, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(warming.logvar_BxD, share * logvar, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(warming.gate_BxD, gate)
    (_, terms), _ = compiled_loss(model)(variables, x, progress=progress)
    kl_B = compiled(model, "divergence")(variables, warming, x, progress)
    np.testing.assert_allclose(terms["kl"], kl_B.mean(), rtol=1e-5)


@pytest.mark.parametrize("prior", PRIORS)
def test_codes_are_the_means_of_the_entries_that_are_likely(x, prior):
    model, variables = vsc(prior), variables_of(prior)
    encode = compiled(model, "encode")
    mu, _, gate = (np.asarray(value) for value in posterior_of(prior, x))
    codes = np.asarray(encode(variables, x))
    np.testing.assert_array_equal(codes, np.where(gate >= 0.5, mu, 0))
    assert 0 < np.mean(codes != 0) < 1
    np.testing.assert_array_equal(codes, compiled(model, "latents")(variables, x))
    np.testing.assert_allclose(codes[2:3], encode(variables, x[2:3]), atol=1e-6)
    (_, terms), _ = loss(model, variables, x, train=False)
    images = compiled(model, "decode")(variables, codes)
    squares_B = np.square(images - x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(terms["reconstruction"], squares_B.mean(), rtol=1e-5)


def test_a_drawn_code_is_of_the_posterior(x):
    model, variables = vsc(), variables_of("pseudo_inputs")
    draw = jax.jit(
        jax.vmap(
            lambda key: model.apply(
                variables, x[:1], sample=True, method="encode", rngs={"latent": key}
            )[0]
        )
    )
    codes = np.asarray(draw(jax.random.split(jax.random.key(0), 8000)))
    mu, logvar, gate = (np.asarray(value)[0] for value in posterior_of("pseudo_inputs", x[:1]))
    np.testing.assert_allclose(np.mean(codes != 0, axis=0), gate, atol=0.02)
    often = gate > 0.05
    active = np.where(codes != 0, codes, np.nan)[:, often]
    np.testing.assert_allclose(np.nanmean(active, axis=0), mu[often], atol=0.2)
    np.testing.assert_allclose(np.nanstd(active, axis=0), np.exp(logvar / 2)[often], rtol=0.2)


def test_the_fixed_prior_has_k_active_latents_on_average():
    model = vsc("fixed")
    rngs = {"latent": jax.random.key(3)}
    codes = np.asarray(
        model.apply(variables_of("fixed"), 6000, jnp.ones(D), method="prior", rngs=rngs)
    )
    np.testing.assert_allclose(np.mean(codes != 0, axis=0), K / D, atol=0.03)
    active = codes[codes != 0]
    np.testing.assert_allclose([active.mean(), active.std()], [0, 1], atol=0.05)


def test_the_prior_of_pseudo_inputs_is_the_mixture_of_their_posteriors():
    model, variables = vsc(), variables_of("pseudo_inputs")
    mu, logvar, gate = (
        np.asarray(value)
        for value in posterior_of("pseudo_inputs", variables["params"]["pseudo_UxHxWxC"])
    )
    rngs = {"latent": jax.random.key(3)}
    codes = np.asarray(model.apply(variables, 20_000, jnp.ones(D), method="prior", rngs=rngs))
    np.testing.assert_allclose(np.mean(codes != 0, axis=0), gate.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(codes.mean(axis=0), (gate * mu).mean(axis=0), atol=0.1)
    square = (gate * (np.exp(logvar) + mu**2)).mean(axis=0)
    np.testing.assert_allclose(np.mean(codes**2, axis=0), square, rtol=0.15, atol=1e-3)


@pytest.mark.parametrize("prior", PRIORS)
def test_gradients_are_finite_at_gates_of_zero_and_one(x, prior):
    model, variables = vsc(prior), variables_of(prior)
    gate = np.asarray(posterior_of(prior, x).gate_BxD)
    assert (gate == 0).any()
    assert (gate == 1).any()

    def value_of(params: dict) -> jax.Array:
        return loss(model, {"params": params}, x)[0][0]

    total, grads = jax.jit(jax.value_and_grad(value_of))(variables["params"])
    assert np.isfinite(total)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(grads))


def test_a_gate_that_is_always_open_can_be_closed():
    """-ReLU(-v) has no gradient there; a descent on the KL would leave the gate as it is."""

    def active(v: jax.Array) -> jax.Array:
        return jnp.mean(jnp.exp(log_gate(v)))

    v = jnp.full(3, 4.0)
    np.testing.assert_array_equal(log_gate(v), 0)
    assert not jax.grad(lambda v: jnp.mean(jnp.exp(-jax.nn.relu(-v))))(v).any()
    np.testing.assert_allclose(jax.grad(active)(v), 1 / 3)
    np.testing.assert_array_equal(jax.grad(lambda v: -active(v))(v), 0)


def test_samples_of_the_mixture_are_as_sparse_as_codes(monkeypatch):
    monkeypatch.setattr(mixture, "CANDIDATES", (("full", 3),))
    x = jax.random.uniform(jax.random.key(3), (400, *SHAPE))
    model, variables = vsc(), variables_of("pseudo_inputs")
    codes = compiled(model, "latents")(variables, x)  # it has no others
    prior = mixture.Mixture.fit(Examples.of(codes), jax.random.key(0))
    drawn = model.sparsify(draw(prior, jax.random.key(4), 4000))
    active, expected = ((np.asarray(z) != 0).mean(axis=0) for z in (drawn, codes))
    assert 0 < expected.sum() < D
    np.testing.assert_allclose(active, expected, atol=0.04)
