"""The three models: what passes the mask, what the loss counts, every body and regime."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.models import MLP, SHAPE, loss
from tests.helpers.params import long_but
from vae_topk_jax import VAE, BetaVAE, TopKVAE
from vae_topk_jax.config import Config
from vae_topk_jax.losses import gaussian_kl
from vae_topk_jax.metrics import ssim
from vae_topk_jax.training import Trainer

CONV = MLP | {"body": "conv", "widths": (4, 6)}
BY_DIMENSION = {"k": 2, "selection": "dimension"}


@pytest.fixture
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (5, *SHAPE))


def trained_once(model, x) -> dict:
    variables = model.init(jax.random.key(1), x)
    return {**variables, **loss(model, variables, x)[1]}


MODELS = {
    "vae": VAE(**MLP),
    "beta": BetaVAE(**MLP),
    "top_k": TopKVAE(**MLP, **BY_DIMENSION),
    "top_k by element": TopKVAE(**MLP, k=2),
    "top_k conv": TopKVAE(**CONV, **BY_DIMENSION),
    "beta conv, three layers": BetaVAE(**CONV | {"widths": (4, 4, 4)}),
    "top_k bernoulli": TopKVAE(**MLP, k=2, likelihood="bernoulli"),
    "top_k bfloat16": TopKVAE(**MLP, **BY_DIMENSION, compute_dtype="bfloat16"),
    "colour": TopKVAE(**MLP | {"image_shape": (8, 8, 3)}, k=2),
}


FEW = {"beta", "top_k"}
NAMES = long_but(FEW, sorted(MODELS))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_ranges(name):
    model = MODELS[name]
    x = jax.random.uniform(jax.random.key(0), (5, *model.image_shape))
    variables = trained_once(model, x)
    out = model.apply(variables, x)
    assert out.shape == x.shape
    assert out.dtype == jnp.float32
    assert ((out >= 0) & (out <= 1)).all()
    codes = model.apply(variables, x, method="encode")
    assert codes.shape == (5, 6)
    assert codes.dtype == jnp.float32
    leaves = jax.tree.leaves(variables["params"])
    assert all(leaf.dtype == jnp.float32 for leaf in leaves)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite(name):
    model = MODELS[name]
    x = jax.random.uniform(jax.random.key(0), (5, *model.image_shape))
    variables = model.init(jax.random.key(1), x)
    grads = jax.grad(lambda params: loss(model, {**variables, "params": params}, x)[0][0])(
        variables["params"]
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_top_k_gives_k_of_d_latents_to_the_decoder(x):
    model = MODELS["top_k"]
    codes = model.apply(trained_once(model, x), x, method="encode")
    assert (np.asarray(codes) != 0).sum(axis=1).tolist() == [2] * 5


def test_kl_is_taken_before_the_mask_over_all_dimensions(x):
    model = MODELS["top_k"]
    variables = model.init(jax.random.key(1), x)
    (_, terms), _ = loss(model, variables, x)
    mu, logvar = model.apply(variables, x, method="posterior")
    np.testing.assert_allclose(terms["kl"], gaussian_kl(mu, logvar, "mean").mean(), rtol=1e-6)


@pytest.mark.parametrize("pixels", ["sum", "mean"])
@pytest.mark.parametrize("latents", ["sum", "mean"])
def test_reductions_scale_their_terms(x, pixels, latents):
    averaged = BetaVAE(**MLP, beta=0.1, pixel_reduction="mean", latent_reduction="mean")
    reduced = averaged.clone(pixel_reduction=pixels, latent_reduction=latents)
    variables = averaged.init(jax.random.key(1), x)
    (total, terms), _ = loss(reduced, variables, x)
    (_, means), _ = loss(averaged, variables, x)
    pixel_count, latent_count = (90 if pixels == "sum" else 1), (6 if latents == "sum" else 1)
    np.testing.assert_allclose(
        terms["reconstruction"], pixel_count * means["reconstruction"], rtol=1e-5
    )
    np.testing.assert_allclose(terms["kl"], latent_count * means["kl"], rtol=1e-5)
    np.testing.assert_allclose(total, terms["reconstruction"] + 0.1 * terms["kl"], rtol=1e-6)


@pytest.mark.parametrize(
    ("warmup", "progress", "share"),
    [(0.0, 0.0, 1.0), (0.5, 0.0, 0.0), (0.5, 0.25, 0.5), (0.5, 0.9, 1.0), (1.0, 0.9, 0.9)],
)
def test_beta_rises_over_its_share_of_the_run(x, warmup, progress, share):
    model = BetaVAE(**MLP, beta=0.5, beta_warmup=warmup)
    variables = model.init(jax.random.key(1), x)
    (total, terms), _ = loss(model, variables, x, progress=progress)
    expected = terms["reconstruction"] + share * 0.5 * terms["kl"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_the_beta_of_a_vae_is_1(x):
    model = MODELS["vae"]
    (total, terms), _ = loss(model, model.init(jax.random.key(1), x), x)
    np.testing.assert_allclose(total, terms["reconstruction"] + terms["kl"], rtol=1e-6)


@pytest.mark.parametrize("name", ["beta", "top_k", "top_k by element"])
def test_padding_changes_no_term(name, x):
    model = MODELS[name]
    variables = trained_once(model, x)
    padded = jnp.concatenate([x, jnp.ones((3, *SHAPE))])
    valid = jnp.arange(8) < 5
    (_, terms), _ = loss(model, variables, x, train=False)
    (_, padded_terms), _ = loss(model, variables, padded, valid, train=False)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), padded_terms, terms)


def test_an_output_does_not_depend_on_its_batch_mates(x):
    model = MODELS["top_k"]
    variables = trained_once(model, x)
    apply = jax.jit(model.apply)
    others = jax.random.uniform(jax.random.key(9), x.shape).at[0].set(x[0])
    np.testing.assert_array_equal(apply(variables, x)[0], apply(variables, others)[0])
    np.testing.assert_allclose(apply(variables, x[:1])[0], apply(variables, x)[0], atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"nested": True}], ids=str)
def test_a_batch_may_choose_for_itself_on_request(x, options):
    model = TopKVAE(**MLP, **BY_DIMENSION, **options)
    variables = model.init(jax.random.key(1), x)
    codes, _ = model.apply(
        variables, x, use_running_average=False, method="encode", mutable=["batch_stats"]
    )
    assert (np.asarray(codes) != 0).sum(axis=1).tolist() == [2] * 5


def test_bfloat16_stays_close_to_float32(x):
    exact, coarse = MODELS["top_k"], MODELS["top_k bfloat16"]
    variables = trained_once(exact, x)
    np.testing.assert_allclose(coarse.apply(variables, x), exact.apply(variables, x), atol=0.02)


def test_a_convolutional_decoder_starts_at_the_mean_of_each_channel():
    images = np.random.default_rng(0).integers(0, 120, (64, 8, 8, 2), np.uint8)
    images[..., 1] //= 4
    trainer = Trainer(Config(body="conv", widths=(4,), batch_size=32), (8, 8, 2), len(images))
    variables = trainer.init(images).variables
    decoded = trainer.model.apply(variables, jnp.zeros((1, 64)), method="decode")
    mean = images.mean((0, 1, 2)) / 255
    np.testing.assert_allclose(decoded, np.broadcast_to(mean, (1, 8, 8, 2)), rtol=1e-5)


@pytest.fixture(scope="module")
def structural() -> tuple[dict, dict[str, BetaVAE], jax.Array]:
    """Variables, the model without and with SSIM in its loss, three images and a padded one."""
    fields = {"image_shape": (12, 11, 1), "latent_dim": 2, "widths": (4,), "beta": 0.0}
    models = {"plain": BetaVAE(**fields), "structural": BetaVAE(**fields, structural=0.3)}
    x = jax.random.uniform(jax.random.key(0), (4, 12, 11, 1)).at[3].set(0.0)
    return models["plain"].init(jax.random.key(1), x), models, x


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_structural_term_is_one_minus_ssim(structural, reduction):
    variables, models, x = structural
    valid = jnp.arange(4) < 3
    terms = {
        name: loss(model.clone(pixel_reduction=reduction), variables, x, valid, train=False)[0][1]
        for name, model in models.items()
    }
    pixels = 132 if reduction == "sum" else 1
    dissimilarity = 1 - ssim(models["plain"].apply(variables, x[:3]), x[:3]).mean()
    added = terms["structural"]["reconstruction"] - terms["plain"]["reconstruction"]
    np.testing.assert_allclose(added, 0.3 * pixels * dissimilarity, rtol=1e-4)


def test_the_structural_term_has_the_slope_of_its_differences(structural):
    variables, models, x = structural

    @jax.jit
    @jax.value_and_grad
    def loss_at(step):
        bias = variables["params"]["decoder"]["Dense_1"]["bias"]
        moved = {"Dense_1": variables["params"]["decoder"]["Dense_1"] | {"bias": bias + step}}
        params = variables["params"] | {"decoder": variables["params"]["decoder"] | moved}
        return loss(models["structural"], {"params": params}, x, train=False)[0][0]

    (above, _), (below, _) = loss_at(0.05), loss_at(-0.05)
    np.testing.assert_allclose(loss_at(0.0)[1], (above - below) / 0.1, rtol=2e-3)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (28, 10, 1), "structural must be 0 for images smaller than .* got 0.3 for 28 x 10"),
        ({}, (1, 1, 8), "structural must be 0 for images smaller than .* got 0.3 for 1 x 1"),
        ({"likelihood": "normal"}, (28, 28, 1), "structural must be 0 with likelihood 'normal'"),
        ({"model": "vaease"}, (28, 28, 1), "structural is not a field of vaease"),
    ],
)
def test_a_structural_term_that_does_not_fit_is_refused(fields, shape, message):
    with pytest.raises(ValueError, match=message):
        Trainer(Config(**{"model": "beta_vae", "structural": 0.3} | fields), shape, 128)
