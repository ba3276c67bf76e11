"""What the decoder's output means: ranges, terms, and variances that are learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tests.helpers.models import loss
from vae_topk_jax import VAE
from vae_topk_jax.config import Config
from vae_topk_jax.likelihoods import LIKELIHOODS, SMALLEST_LOGVAR, bounded_logvar
from vae_topk_jax.models import VSC, SparseGenerator, VAEase
from vae_topk_jax.training import Trainer

SHAPE = (1, 1, 6)
SIZES = {"image_shape": SHAPE, "latent_dim": 3, "widths": (8,)}
VECTORS = SIZES | {"likelihood": "normal_per_feature"}


@pytest.fixture(scope="module")
def x() -> jax.Array:
    scale = np.array([0.1, 1, 2, 5, 10, 20])
    values = np.random.default_rng(0).normal(3 * scale, scale, (64, *SHAPE))
    return jnp.asarray(values, jnp.float32)


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_the_mean_and_the_range_agree(name):
    likelihood = LIKELIHOODS[name]
    mean = likelihood.mean(jnp.array([-1e3, 0.0, 1e3]))
    expected = [-1e3, 0, 1e3] if likelihood.input_range is None else [0, 0.5, 1]
    np.testing.assert_allclose(mean, expected)


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_a_perfect_output_has_a_bounded_term_with_a_finite_gradient(name):
    likelihood, target = LIKELIHOODS[name], jnp.full((2, *SHAPE), 0.5)

    def total(raw):
        learnt = {"logvar": bounded_logvar(raw)} if likelihood.has_variance else {}
        output = target if likelihood.input_range is None else jnp.zeros_like(target)
        return likelihood.term(output, target, "mean", **learnt).sum()

    value, slope = jax.value_and_grad(total)(jnp.full(likelihood.logvar_shape(SHAPE), -1e4))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_log_variances_are_bounded_below_and_keep_a_gradient():
    raw = jnp.array([-1e6, -20.0, -12.0, -3.0, 0.0, 50.0])
    bounded = bounded_logvar(raw)
    assert (bounded >= SMALLEST_LOGVAR).all()
    np.testing.assert_allclose(bounded[3:], raw[3:], atol=2e-4)
    assert (jax.grad(lambda x: bounded_logvar(x).sum())(raw[1:]) > 0).all()


@pytest.mark.parametrize("name", ["normal", "normal_per_feature"])
def test_the_best_variance_is_the_mean_squared_error(name):
    """Where the gradient vanishes, and what the term is there."""
    likelihood = LIKELIHOODS[name]
    error = np.random.default_rng(1).normal(0, [0.3, 1, 4], (500, 1, 1, 3)).astype(np.float32)
    axes = 0 if likelihood.variance == "feature" else None
    best = np.square(error).mean(axis=axes)

    def term(logvar):
        return likelihood.term(jnp.zeros_like(error), error, "mean", logvar=logvar).mean()

    value, slope = jax.value_and_grad(term)(jnp.asarray(np.log(best)))
    np.testing.assert_allclose(slope, 0, atol=1e-5)
    np.testing.assert_allclose(
        value, 0.5 * (np.log(2 * np.pi * np.e) + np.log(best).mean()), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (VAE(**SIZES, likelihood="normal"), "output_logvar"),
        (VAE(**VECTORS), "output_logvar"),
        (VAEase(**SIZES), "log_gamma"),
    ],
    ids=["one for all", "one for each", "VAEase"],
)
def test_a_variance_that_is_learnt_starts_at_that_of_the_inputs(x, model, name):
    key = jax.random.key(0)
    params = jax.jit(model.init)(key, x)["params"]
    started = model.start(params, x, key)[name]
    assert started.shape == params[name].shape
    np.testing.assert_allclose(np.exp(started), np.var(x, axis=0).mean(), rtol=1e-4)
    np.testing.assert_allclose(model.start(params, jnp.ones_like(x), key)[name], SMALLEST_LOGVAR)
    assert not params[name].any(), "the input has been changed"


@pytest.mark.parametrize(("standardize", "expected"), [("feature", 1), ("norm", 1 / 60)])
def test_it_is_the_variance_of_standardised_inputs(standardize, expected):
    """Of 60 values drawn around 0, whose mean squared norm is 1 in the second case."""
    config = Config(
        model="vae", likelihood="normal", standardize=standardize, latent_dim=3, batch_size=32
    )
    values = np.random.default_rng(2).normal(0, 7, (64, 1, 1, 60)).astype(np.float32)
    params = Trainer(config, values.shape[1:], len(values)).init(values).params
    np.testing.assert_allclose(np.exp(params["output_logvar"]), expected, rtol=0.05)


def test_the_loss_of_a_vae_is_its_likelihood_in_standardised_units(x):
    model = VAE(**VECTORS, standardize="feature", pixel_reduction="sum")
    variables = jax.jit(model.init)(jax.random.key(1), x)
    shift, scale = np.asarray(x).mean(0), np.asarray(x).std(0)
    variables["batch_stats"]["standardization"] = {"shift": shift, "scale": scale}
    variables["params"]["output_logvar"] = jnp.linspace(-2.0, 1.0, 6).reshape(SHAPE)
    (_, terms), _ = loss(model, variables, x, train=False)
    mean = np.asarray(model.apply(variables, x), np.float64)
    variance = np.asarray(model.apply(variables, method="output_variance"))
    log_p_N = stats.norm(mean, np.sqrt(variance)).logpdf(np.asarray(x)).sum((1, 2, 3))
    np.testing.assert_allclose(
        terms["reconstruction"], -(log_p_N + np.log(scale).sum()).mean(), rtol=1e-4
    )


def test_a_model_without_a_learnt_variance_gives_none():
    model = VAE(SHAPE, latent_dim=2, widths=(4,), likelihood="squared_error")
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *SHAPE)))
    assert "output_logvar" not in variables["params"]
    with pytest.raises(ValueError, match="likelihood must have a learnt variance, got 'squared_e"):
        model.apply(variables, method="output_variance")


def test_pseudo_inputs_lie_where_the_inputs_do(x):
    of_any, of_images = (
        jax.jit(VSC(**fields, k=1, pseudo_inputs=200).init)(jax.random.key(0), x)
        for fields in (VECTORS, SIZES)
    )
    pseudo = np.asarray(of_any["params"]["pseudo_UxHxWxC"])
    np.testing.assert_allclose([pseudo.mean(), pseudo.std()], [0, 1], atol=0.1)
    assert np.asarray(of_images["params"]["pseudo_UxHxWxC"]).min() >= 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"standardize": "feature"}, "standardize must be 'none' with likelihood 'gaussian', .*"),
        (
            {"model": "vsc", "standardize": "mean", "likelihood": "bernoulli"},
            "standardize must be 'none' with likelihood 'bernoulli', .*normal and",
        ),
        ({"likelihood": "laplace"}, "likelihood must be one of .*'normal_per_feature'.*'laplace'"),
        ({"model": "batch_topk_sae", "standardize": "unit"}, "standardize must be one of .*'unit'"),
        (
            {"model": "sparse_generator", "likelihood": "normal"},
            "likelihood must be gaussian, bernoulli or squared_error .*, got 'normal'",
        ),
    ],
)
def test_settings_that_exclude_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        Config(**fields)
    assert "\n" not in str(error.value)


def test_the_sparse_generator_takes_any_values():
    assert SparseGenerator(likelihood="squared_error").input_range is None
    assert Config("sparse_generator", likelihood="squared_error", standardize="mean").k == 8
