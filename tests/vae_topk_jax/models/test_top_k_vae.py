"""TopKVAE: the paper's rule, the default one, and what every option does."""

import functools
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.models import MLP, SHAPE, loss
from tests.helpers.runs import SMALL
from vae_topk_jax import Config, TopKVAE, batch_top_k_mask, element_top_k
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.inference import Inference
from vae_topk_jax.losses import gaussian_kl, masked_kl, squared_error
from vae_topk_jax.models.top_k_vae import START_LOGVAR
from vae_topk_jax.models.vae import Code, Heads
from vae_topk_jax.priors.independent import sample_slots
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.slots import slot_imbalance, slot_softmax

D, K = MLP["latent_dim"], 2
RULES = [rule for rule in get_args(SelectionRule) if rule != "slot"]  # where a score ranks
PAPER = {"selection": "dimension", "importance": "mean_abs_z", "sensitivity_every": 0}
PLAIN = {"k": K, "selection": "dimension", "sensitivity_every": 0}

OPTIONS = {
    "by element, inactive latents held": {"selection": "element", "kl_inactive": 2.0},
    "per sample, ranked by the sample, SSIM": {
        "selection": "sample",
        "score": "abs_z",
        "structural": 0.01,
    },
    "annealed, decoder sensitivity": {"k_anneal": 0.3, "sensitivity_every": 2},
    "annealed, by element, capped": {
        "selection": "element",
        "score": "kl",
        "k_anneal": 0.3,
        "cap": True,
    },
    "nested, inactive latents free": {"nested": True, "kl_inactive": 0.0},
    "nested, per sample": {"selection": "sample", "score": "signal_to_noise", "nested": True},
}


@pytest.fixture
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (5, *SHAPE))


def init(model: TopKVAE, x: jax.Array) -> dict:
    return model.init(jax.random.key(1), x)


def train_bottleneck(model: TopKVAE, variables: dict, x: jax.Array, key=None, progress=0.5) -> Code:
    """The codes of a training batch, without noise."""
    mu, logvar = model.apply(variables, x, method="posterior")
    code, _ = model.apply(
        variables,
        mu,
        mu,
        logvar,
        use_running_average=False,
        progress=progress,
        method="bottleneck",
        mutable=["batch_stats"],
        rngs=None if key is None else {"latent": key},
    )
    return code


@pytest.mark.long
@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_learns_and_has_k_active_latents_at_inference(blobs, name):
    config = SMALL.replace(epochs=6, ema_decay=0.8, latent_reduction="sum", **OPTIONS[name])
    info = RunInfo(config, blobs.image_shape, blobs.describe())
    first, *_, last = info.trainer.epochs(info.trainer.init(), blobs.train_images)
    assert np.isfinite(list(last.terms.values())).all()
    assert last.terms["skipped"] == 0
    assert last.terms["reconstruction"] < 0.9 * first.terms["reconstruction"]
    assert 0 <= last.terms["agreement"] <= 1

    model = Inference(last.state, info)
    active_B = np.sum(model.encode(to_unit_float(blobs.test_images)) != 0, axis=1)
    if config.selection == "element":
        np.testing.assert_allclose(active_B.mean(), config.k, rtol=0.25)
        assert (active_B.max() <= config.k) == config.cap
    else:
        assert (active_B == config.k).all()
    np.testing.assert_allclose(model.frequency.sum(), config.k, rtol=0.05)


def papers_mask(z: jax.Array, mu: jax.Array, logvar: jax.Array) -> jax.Array:
    return batch_top_k_mask(IMPORTANCES["mean_abs_z"](z, mu, logvar), K)[None]


def default_mask(z: jax.Array, mu: jax.Array, logvar: jax.Array) -> jax.Array:
    """The decoder's sensitivity is 1 everywhere before its first estimate."""
    return element_top_k(jnp.abs(mu), K).mask_BxD


@pytest.mark.parametrize(("options", "mask_of"), [(PAPER, papers_mask), ({}, default_mask)])
def test_the_loss_is_that_of_the_masked_sample(x, options, mask_of):
    model = TopKVAE(**MLP, k=K, **options)
    variables = init(model, x)

    def expected_loss(model: TopKVAE, x: jax.Array) -> jax.Array:
        mu, logvar = model.posterior(x)
        z = mu + jnp.exp(0.5 * logvar) * jax.random.normal(model.make_rng("latent"), mu.shape)
        masked = z * mask_of(z, mu, logvar)
        reconstruction = jnp.mean(squared_error(model.decoder(masked), x, "mean"))
        return reconstruction + 0.001 * jnp.mean(gaussian_kl(mu, logvar, "mean"))

    expected = model.apply(variables, x, method=expected_loss, rngs={"latent": jax.random.key(2)})
    assert loss(model, variables, x)[0][0] == expected


@pytest.mark.parametrize(
    "idle", [{"k_anneal": 0.4}, {"score": "abs_z"}, {"sensitivity_every": 5}], ids=str
)
def test_an_option_does_nothing_before_or_after_its_time(x, idle):
    plain, model = TopKVAE(**MLP, **PLAIN), TopKVAE(**MLP, **PLAIN | idle)
    (_, expected), _ = loss(plain, init(plain, x), x, progress=0.5)
    (_, terms), _ = loss(model, init(model, x), x, progress=0.5)
    assert terms == expected


@pytest.mark.parametrize("rule", RULES)
def test_annealing_lets_fewer_and_fewer_latents_pass_until_k(x, rule):
    model = TopKVAE(**MLP, k=K, selection=rule, k_anneal=0.5)
    code_at = jax.jit(functools.partial(train_bottleneck, model, init(model, x), x))
    counts = [
        float(np.sum(code_at(progress=progress).z_BxD != 0)) / len(x)
        for progress in (0.0, 0.1, 0.25, 0.4, 0.5, 1.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) >= 4
    assert (counts[0], *counts[-2:]) == (D, K, K)


@pytest.mark.parametrize("rule", ["dimension", "sample"])
def test_nested_draws_the_number_of_latents_log_uniformly(x, rule):
    model = TopKVAE(**MLP, k=K, selection=rule, nested=True)
    code_of = jax.jit(jax.vmap(functools.partial(train_bottleneck, model, init(model, x), x[:1])))
    codes_Nx1xD = code_of(jax.random.split(jax.random.key(3), 4000)).z_BxD
    counts = np.bincount(np.sum(codes_Nx1xD != 0, axis=(1, 2)), minlength=D + 1)
    expected = np.diff(np.log(np.arange(1, D + 2))) / np.log(D + 1)
    np.testing.assert_allclose(counts / 4000, [0, *expected], atol=0.03)


@pytest.mark.parametrize("inactive", [0.0, 2.0])
@pytest.mark.parametrize("rule", RULES)
def test_the_kl_is_that_of_the_selection(x, rule, inactive):
    model = TopKVAE(**MLP, k=K, selection=rule, kl_inactive=inactive)
    variables = init(model, x)
    (_, terms), _ = loss(model, variables, x)
    mu, logvar = model.apply(variables, x, method="posterior")
    mask = train_bottleneck(model, variables, x).selection.mask_BxD
    expected_B = masked_kl(mu, logvar, mask, inactive, "mean")
    np.testing.assert_allclose(terms["kl"], expected_B.mean(), rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_dimension_that_the_decoder_ignores_is_not_selected(x, rule):
    model = TopKVAE(
        **MLP, k=K, selection=rule, importance="mean_abs_mu", sensitivity_every=1, ema_decay=0.0
    )
    variables = init(model, x)
    params = variables["params"]
    params["mu_head"]["bias"] = jnp.array([9.0, 9, 9, 1, 1, 1])
    for name, layer in params["decoder"].items():
        params["decoder"][name] = layer | {"bias": jnp.ones_like(layer["bias"])}
    ignored = params["decoder"]["Dense_0"]
    ignored["kernel"] = ignored["kernel"].at[:3].set(0.0)

    for chosen in ({0, 1, 2}, {3, 4, 5}):
        _, stats = loss(model, variables, x)
        variables = {**variables, **stats}
        frequency_D = stats["batch_stats"]["batch_top_k"]["frequency"]
        assert set(np.flatnonzero(frequency_D)) <= chosen


def test_a_cap_is_refused_where_there_is_no_threshold():
    with pytest.raises(ValueError, match="cap must be False by dimension, which keeps K, got True"):
        Config(selection="dimension", cap=True)


class Slots(NamedTuple):
    """A model by slot whose decoder sees the mask, and what its encoder says of some images."""

    model: TopKVAE
    variables: dict
    x: jax.Array
    heads: Heads


@pytest.fixture(scope="module")
def slots() -> Slots:
    model = TopKVAE(**MLP, k=K, selection="slot", mask_input=True)
    x = jax.random.uniform(jax.random.key(0), (5, *SHAPE))
    variables = init(model, x)
    return Slots(model, variables, x, model.apply(variables, x, method="heads"))


def test_by_slot_the_encoder_chooses_one_latent_of_each_group_the_most_probable(slots):
    model, variables, x, heads = slots
    best = np.asarray(heads.logits_BxD).reshape(-1, K, D // K).argmax(-1)
    codes = np.asarray(model.apply(variables, x, method="encode"))
    np.testing.assert_array_equal((codes != 0).reshape(-1, K, D // K).argmax(-1), best)
    np.testing.assert_array_equal(codes[codes != 0], np.asarray(heads.mu_BxD)[codes != 0])
    np.testing.assert_array_equal(model.apply(variables, codes, method="sparsify"), codes)
    np.testing.assert_array_equal(model.apply(variables, x, method="offers"), heads.mu_BxD)
    np.testing.assert_array_equal(heads.logvar_BxD, START_LOGVAR)


def test_by_slot_training_draws_the_choice_and_teaches_it(slots):
    """What is decoded is a code with one latent of each group; its gradient reaches the logits of
    the latents that were not chosen."""
    model, variables, _, (mu, logvar, logits) = slots

    def code_of(logits: jax.Array, key: jax.Array) -> Code:
        return model.apply(
            variables, mu, mu, logvar, logits, use_running_average=False, progress=0.5,
            method="bottleneck", mutable=["batch_stats"], rngs={"latent": key},
        )[0]  # fmt: skip

    def seen(logits: jax.Array, key: jax.Array) -> tuple[jax.Array, Code]:
        code = code_of(logits, key)
        return jnp.sum(model.decoder_input(code.z_BxD, code.mask_BxD) ** 2), code

    keys = jax.random.split(jax.random.key(3), 4000)
    teach = jax.jit(jax.vmap(jax.grad(seen, has_aux=True), (None, 0)))
    slope, codes = teach(logits, keys)
    np.testing.assert_array_equal(codes.mask_BxD, codes.selection.mask_BxD)
    np.testing.assert_array_equal(codes.z_BxD, codes.selection.mask_BxD * mu[None])
    drawn = np.mean(codes.selection.mask_BxD, axis=0)
    chances = slot_softmax(model.choice_temperature * logits, K)  # of the argmax of l + g / T
    np.testing.assert_allclose(drawn, chances, atol=0.04)
    assert np.all(np.asarray(slope[0]) != 0)
    expected = model.choice_balance * slot_imbalance(slot_softmax(logits, K), K)
    np.testing.assert_allclose(codes.penalty, expected, rtol=1e-6)


def test_the_penalty_of_a_choice_is_part_of_the_loss(slots):
    model = slots.model.clone(choice_balance=100.0)
    (value, terms), _ = loss(model, slots.variables, slots.x)
    penalty = 100 * slot_imbalance(slot_softmax(slots.heads.logits_BxD, K), K)
    assert value == terms["loss"]
    np.testing.assert_allclose(value - penalty, terms["reconstruction"], atol=0.01)


def test_the_decoder_may_see_which_latents_are_active(slots):
    model, variables, *_ = slots
    none_and_barely = jnp.array([[0.0] * D, [1e-30] * D])
    decoded = np.asarray(model.apply(variables, none_and_barely, method="decode"))
    assert np.abs(decoded[0] - decoded[1]).max() > 1e-3
    assert variables["params"]["decoder"]["Dense_0"]["kernel"].shape[0] == 2 * D


def test_by_slot_generated_codes_have_one_latent_of_each_group(slots):
    frequency_D = jnp.asarray([0.2, 0.0, 0.8, 1.0, 0.0, 0.0])
    codes = np.asarray(sample_slots(jax.random.key(0), 5000, frequency_D, K))
    np.testing.assert_array_equal(np.sum(codes.reshape(-1, K, D // K) != 0, axis=-1), 1)
    np.testing.assert_allclose(np.mean(codes != 0, axis=0), frequency_D, atol=0.02)
    np.testing.assert_allclose(codes[codes != 0].std(), 1, atol=0.05)
    drawn = slots.model.apply(
        {}, 9, frequency_D, method="prior", rngs={"latent": jax.random.key(0)}
    )
    np.testing.assert_array_equal(np.sum(drawn.reshape(-1, K, D // K) != 0, axis=-1), 1)
