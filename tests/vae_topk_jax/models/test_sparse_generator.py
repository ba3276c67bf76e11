"""The sparse generator: its steps against NumPy, what inference lowers, what training learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests.helpers.models import MLP, SHAPE, SUMS, loss
from vae_topk_jax.models import SparseGenerator
from vae_topk_jax.models.sparse_generator import slab_probability

D, K, P = MLP["latent_dim"], 2, 90
WIDTH, STEP, BETA = 0.1, 0.05, 0.3
PRIOR = {"k": K, "beta": BETA, "beta_warmup": 0.0, "spike_width": WIDTH}


def generator(**options) -> SparseGenerator:
    return SparseGenerator(**MLP | SUMS | PRIOR | {"inference_step_size": STEP} | options)


@functools.cache
def variables_of(model: SparseGenerator) -> dict:
    """A decoder whose images differ enough for latents to matter."""
    params = jax.jit(model.init)(jax.random.key(1), jnp.zeros((1, *SHAPE)))["params"]
    for number, layer in enumerate(params["decoder"].values()):
        layer["kernel"] *= 2
        layer["bias"] = 0.3 * jax.random.normal(jax.random.key(number), layer["bias"].shape)
    return {"params": params}


@functools.cache
def compiled(model: SparseGenerator, method: str):
    return jax.jit(functools.partial(model.apply, variables_of(generator()), method=method))


@pytest.fixture(scope="module")
def x() -> jax.Array:
    z = 1.5 * jax.random.normal(jax.random.key(0), (8, D))
    return compiled(generator(), "decode")(z)


def error(z: jax.Array, x: jax.Array) -> jax.Array:
    images = generator().apply(variables_of(generator()), z, method="decode")
    return jnp.sum(jnp.square(images - x), axis=(1, 2, 3))


slope = jax.jit(jax.grad(lambda z, x: error(z, x).sum()))


def from_slab(z: np.ndarray, width: float = WIDTH) -> np.ndarray:
    slab = K / D * stats.norm.pdf(z)
    return slab / (slab + (1 - K / D) * stats.norm.pdf(z, scale=width))


def minus_log_prior(z: np.ndarray, width: float = WIDTH) -> np.ndarray:
    return -np.log(K / D * stats.norm.pdf(z) + (1 - K / D) * stats.norm.pdf(z, scale=width))


def test_the_probability_of_the_slab_agrees_with_scipy():
    z = np.linspace(-1, 1, 41)
    probability = slab_probability(jnp.asarray(z, jnp.float32), K / D, WIDTH)
    np.testing.assert_allclose(probability, from_slab(z), rtol=1e-3)
    np.testing.assert_array_equal(slab_probability(jnp.array([1e15, -1e15]), 1e-3, 1e-6), 1)


def test_the_pull_of_the_prior_is_the_gradient_of_its_logarithm():
    z, small = np.linspace(-1, 1, 41), 1e-6
    numeric = (minus_log_prior(z + small) - minus_log_prior(z - small)) / (2 * small)
    slab = np.asarray(slab_probability(jnp.asarray(z, jnp.float32), K / D, WIDTH), np.float64)
    np.testing.assert_allclose(z * (slab + (1 - slab) / WIDTH**2), numeric, rtol=1e-3, atol=1e-6)


def test_the_steps_agree_with_numpy(x):
    z = np.zeros((len(x), D))
    for steps in (1, 2, 3):
        slab = from_slab(z)
        pull = slab + (1 - slab) / WIDTH**2
        gradient = np.asarray(slope(jnp.asarray(z, jnp.float32), x), np.float64)
        z = (z - STEP * gradient) / (1 + STEP * BETA * pull)
        inferred = compiled(generator(inference_steps=steps), "infer")(x)
        np.testing.assert_allclose(inferred, z, rtol=1e-3, atol=1e-5)
    assert np.abs(z).max() > 0.05


def test_inference_lowers_the_negative_log_posterior(x):
    energies = []
    for steps in (1, 4, 16, 64):
        model = generator(inference_steps=steps, inference_step_size=0.01)
        z = np.asarray(compiled(model, "infer")(x))
        energies.append(np.asarray(error(z, x)) + BETA * minus_log_prior(z).sum(axis=1))
    assert (np.diff(np.mean(energies, axis=1)) < 0).all()
    assert (energies[-1] < energies[0] - 0.1).any()


def test_the_noise_of_the_steps_is_that_of_langevin_dynamics():
    """Without an image's pull, under the slab alone: z <- (z + sqrt(2 h T) eps) / (1 + h T)."""
    model = generator(k=D, beta=2.0, inference_steps=100)
    blank = jax.tree.map(jnp.zeros_like, variables_of(generator()))
    noisy = jnp.zeros((2000, *SHAPE))
    infer = jax.jit(functools.partial(model.apply, blank, method="infer"))
    z = np.asarray(infer(noisy, 1.0, jax.random.key(4)))
    heat = STEP * 2.0
    stationary = 2 * heat / ((1 + heat) ** 2 - 1)
    np.testing.assert_allclose(z.mean(), 0, atol=0.05)
    np.testing.assert_allclose(z.var(), stationary, rtol=0.05)
    assert stats.kurtosis(z.ravel()) == pytest.approx(0, abs=0.15)
    np.testing.assert_array_equal(infer(noisy[:2]), 0)


@pytest.mark.parametrize(
    ("progress", "width"), [(0.0, 1.0), (0.25, WIDTH**0.5), (0.5, WIDTH), (1.0, WIDTH)]
)
def test_training_starts_from_the_prior_whose_spike_shrinks(progress, width):
    model = generator(inference_steps=1, inference_step_size=1e-9)
    many = jnp.zeros((4000, *SHAPE))
    z = np.asarray(compiled(model, "infer")(many, progress, jax.random.key(7)))
    alpha = K / D
    np.testing.assert_allclose(z.var(), alpha + (1 - alpha) * width**2, rtol=0.05)
    fourth = 3 * (alpha + (1 - alpha) * width**4)
    np.testing.assert_allclose(np.mean(z**4), fourth, rtol=0.1)


@pytest.mark.parametrize(
    ("pixels", "latents", "factor"),
    [("mean", "mean", P / D), ("mean", "sum", P), ("sum", "mean", 1 / D)],
)
def test_reductions_weigh_error_and_prior_as_in_a_vae(x, pixels, latents, factor):
    model = generator(beta=BETA / factor, pixel_reduction=pixels, latent_reduction=latents)
    expected = compiled(generator(), "infer")(x)
    np.testing.assert_allclose(compiled(model, "infer")(x), expected, atol=1e-5)


def test_the_prior_counts_for_more_and_more(x):
    warming, none = generator(beta_warmup=0.4), generator(beta=0.0)
    half, full = generator(beta=BETA / 2), generator()
    for progress, model in ((0.0, none), (0.2, half), (0.6, full)):
        np.testing.assert_allclose(
            compiled(warming, "infer")(x, progress),
            compiled(model, "infer")(x, progress),
            atol=1e-5,
        )


def test_codes_are_zero_where_the_spike_is_the_likelier(x):
    latents = np.asarray(compiled(generator(), "latents")(x))
    codes = np.asarray(compiled(generator(), "encode")(x))
    np.testing.assert_array_equal(codes, np.where(from_slab(latents) >= 0.5, latents, 0))
    assert 0 < np.mean(codes == 0) < 1
    assert (latents != 0).all()
    np.testing.assert_array_equal(codes, compiled(generator(), "sparsify")(latents))


def test_inference_is_deterministic_and_of_each_image_alone(x):
    encode = compiled(generator(), "encode")
    codes = np.asarray(encode(x))
    np.testing.assert_array_equal(codes, encode(x))
    np.testing.assert_array_equal(codes[0], encode(x.at[1:].set(0.5))[0])
    np.testing.assert_allclose(codes[:3], encode(x[:3]), atol=1e-5)


def test_codes_may_be_drawn_from_the_posterior(x):
    draw = jax.jit(
        lambda key: generator().apply(
            variables_of(generator()), x, sample=True, method="encode", rngs={"latent": key}
        )
    )
    first, second = (np.asarray(draw(jax.random.key(seed))) for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert 0 < np.mean(first == 0) < 1
    np.testing.assert_array_equal(first, draw(jax.random.key(0)))


def test_the_prior_has_k_active_latents_on_average():
    rngs = {"latent": jax.random.key(3)}
    z = generator().apply({}, 6000, jnp.ones(D), method="prior", rngs=rngs)
    z = np.asarray(z)
    np.testing.assert_allclose(np.mean(z != 0, axis=0), K / D, atol=0.03)
    np.testing.assert_allclose([z[z != 0].mean(), z[z != 0].std()], [0, 1], atol=0.05)


def test_training_moves_the_decoder_alone(x):
    """The gradient is that of the error at latents that do not move with the decoder."""
    model, variables = generator(), variables_of(generator())

    def total(params: dict) -> jax.Array:
        return loss(model, {"params": params}, x, progress=0.7)[0][0]

    rngs = {"latent": jax.random.key(2)}
    z = model.apply(
        variables, x, rngs=rngs, method=lambda m, x: m.infer(x, 0.7, m.make_rng("latent"))
    )

    def held(params: dict) -> jax.Array:
        images = model.apply({"params": params}, z, method="decode")
        return jnp.mean(jnp.sum(jnp.square(images - x), axis=(1, 2, 3)))

    params = variables["params"]
    (value, grads), (expected, wanted) = (
        jax.jit(jax.value_and_grad(f))(params) for f in (total, held)
    )
    assert params.keys() == {"decoder"}
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), grads, wanted)


def test_evaluation_is_of_the_codes(x):
    (total, terms), _ = loss(generator(), variables_of(generator()), x, train=False)
    codes = compiled(generator(), "encode")(x)
    np.testing.assert_allclose(total, error(codes, x).mean(), rtol=1e-5)
    assert terms == {"loss": total, "reconstruction": total}


@pytest.mark.parametrize(
    "options",
    [{"spike_width": 1e-6}, {"k": D}, {"beta": 0.0}, {"beta": 1e6}, {"likelihood": "bernoulli"}],
    ids=str,
)
def test_gradients_are_finite_at_extremes(options):
    model = generator(inference_steps=5, **options)
    images = jnp.concatenate([jnp.zeros((2, *SHAPE)), jnp.ones((2, *SHAPE))])

    def total(params: dict) -> jax.Array:
        return loss(model, {"params": params}, images)[0][0]

    value, grads = jax.jit(jax.value_and_grad(total))(variables_of(generator())["params"])
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
