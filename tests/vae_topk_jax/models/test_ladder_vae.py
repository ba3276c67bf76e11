"""The ladder VAE against its equations, written down again in NumPy."""

import functools
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import BESIDES, SMALL
from vae_topk_jax.config import Config
from vae_topk_jax.gallery.directions import thresholds
from vae_topk_jax.models import LadderVAE
from vae_topk_jax.statistics import TopKStatistics, find_statistics

SHAPE, LEVELS, KS = (3, 3, 1), (2, 3, 5), (2, 1, 2)
BETA, FREE = 0.1, 0.3
MODEL = LadderVAE(
    image_shape=SHAPE,
    latent_dim=10,
    levels=LEVELS,
    level_k=KS,
    widths=(8, 6),
    sensitivity_every=2,
    beta=BETA,
    beta_warmup=0.0,
    free_bits=FREE,
)
VALID = np.array([1, 1, 1, 0])


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (4, *SHAPE))


@pytest.fixture(scope="module")
def found(x) -> dict:
    """What a model gives whose priors are not N(0, I), after a step; all in one program."""
    shapes = jax.eval_shape(MODEL.init, jax.random.key(1), x)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda w: rng.normal(0, 0.4, w.shape).astype(np.float32), shapes["params"]
    )

    @jax.jit
    def run(x):
        stats = jax.tree.map(lambda w: jnp.zeros(w.shape, w.dtype), shapes["batch_stats"])
        train = functools.partial(
            MODEL.apply,
            {"params": params, "batch_stats": stats},
            train=True,
            method="loss",
            mutable="batch_stats",
            rngs={"latent": jax.random.key(3)},
        )
        unlike_in_padding = jnp.stack([x, jnp.concatenate([x[:3], 1 - x[3:]])])
        trained = jax.lax.map(lambda x: train(x, x, VALID), unlike_in_padding)
        stats = jax.tree.map(lambda leaf: leaf[0], trained[1])
        of = functools.partial(MODEL.apply, {"params": params} | stats)
        statistics = find_statistics(stats["batch_stats"])
        assert statistics is not None
        frequency_D = statistics.frequency
        return {
            "trained": trained,
            "stats": stats["batch_stats"],
            "codes": of(x, method="encode"),
            "levels": of(x, sample=False, use_running_average=True, method="inferred"),
            "loss": of(x, x, VALID, train=False, method="loss"),
            "frequency": frequency_D,
            "drawn": of(2000, frequency_D, method="prior", rngs={"latent": jax.random.key(4)}),
        }

    return {"params": params} | jax.tree.map(np.asarray, run(x))


def dense(layer: dict, h: np.ndarray) -> np.ndarray:
    return h @ layer["kernel"] + layer["bias"]


def priors_of(params: dict, codes: list[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
    """(context, mean, logvar) of each level, given the codes above it."""
    nothing = np.zeros((len(codes[0]), 0), np.float32)
    zeros = np.zeros_like(codes[0])
    known: list[tuple[np.ndarray, ...]] = [(nothing, zeros, zeros)]
    for number, code in enumerate(codes[:-1]):
        of = params[f"level_prior_{number}"]
        context = np.maximum(dense(of["Dense_0"], np.hstack([code, known[-1][0]])), 0)
        raw = dense(of["Dense_2"], context)
        known.append((context, dense(of["Dense_1"], context), 4 * np.tanh(raw / 4)))
    return known


@pytest.mark.long
def test_a_level_is_inferred_given_the_codes_above_it(found, x):
    params = found["params"]
    h = np.asarray(x).reshape(4, -1)
    for name in ("Dense_0", "Dense_1"):
        h = np.maximum(dense(params["encoder"][name], h), 0)
    codes = MODEL.by_level(found["codes"])
    priors = priors_of(params, codes)
    for number, (level, code) in enumerate(zip(found["levels"], codes, strict=True)):
        context, mean, logvar = priors[number]
        for head, value in (("mu_head", level.mu_BxD), ("logvar_head", level.logvar_BxD)):
            expected = dense(params[f"{head}_{number}"], np.hstack([h, context]))
            np.testing.assert_allclose(value, expected, atol=1e-5)
        np.testing.assert_allclose(level.above.mean_BxD, mean, atol=1e-5)
        np.testing.assert_allclose(level.above.logvar_BxD, logvar, atol=1e-5)
        np.testing.assert_array_equal(level.code_BxD, code)
        assert np.all((code == 0) | (code == level.mu_BxD))
    assert np.all(codes[0] != 0)  # K = 2 of 2: dense


@pytest.mark.long
def test_the_kl_of_a_level_is_to_its_prior_and_counts_from_its_free_bits_on(found):
    total, terms = found["loss"]
    kls = []
    for level in found["levels"]:
        mu, logvar, mean, prior_logvar = (
            np.asarray(x, np.float64)[:3]
            for x in (level.mu_BxD, level.logvar_BxD, level.above.mean_BxD, level.above.logvar_BxD)
        )
        ratio = np.exp(logvar - prior_logvar)
        shift = np.square(mu - mean) / np.exp(prior_logvar)
        kls.append(0.5 * (shift + ratio - 1 - np.log(ratio)).sum(axis=1).mean())
    assert min(kls) < FREE < max(kls)
    np.testing.assert_allclose([terms[f"kl_{n}"] for n in (1, 2, 3)], np.array(kls) / 10, rtol=1e-4)
    np.testing.assert_allclose(terms["kl"], sum(kls) / 10, rtol=1e-4)
    expected = terms["reconstruction"] + BETA * np.maximum(kls, FREE).sum() / 10
    np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.long
def test_each_level_keeps_its_own_k_and_padding_counts_for_nothing(found):
    active = [level.sum() for level in MODEL.by_level(found["frequency"])]
    np.testing.assert_allclose(active, KS, rtol=1e-6)
    for leaf in jax.tree.leaves(found["trained"]):
        np.testing.assert_array_equal(leaf[0], leaf[1])


@pytest.mark.long
def test_a_latent_is_active_from_the_threshold_of_its_level_on(found):
    state = SimpleNamespace(batch_stats=found["stats"])
    model: Any = SimpleNamespace(model=MODEL, config=MODEL, state=state)
    mu_BxD = np.hstack([level.mu_BxD for level in found["levels"]])
    np.testing.assert_array_equal(np.abs(mu_BxD) >= thresholds(model), found["codes"] != 0)


@pytest.mark.long
def test_codes_are_drawn_from_the_top_down_each_latent_as_often_as_in_training(found):
    drawn = MODEL.by_level(found["drawn"].astype(np.float64))
    share = np.mean(found["drawn"] != 0, axis=0)
    np.testing.assert_allclose(share, found["frequency"], atol=0.05)
    _, mean, logvar = priors_of(found["params"], drawn)[1]
    always = found["frequency"][2:5] == 1
    scaled = (drawn[1] - mean) / np.exp(logvar / 2)
    np.testing.assert_allclose(scaled[:, always].mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(scaled[:, always].std(axis=0), 1, atol=0.1)


@pytest.mark.parametrize("selection", ["dimension", "sample"])
def test_each_level_selects_by_the_rule(selection):
    sizes = BESIDES["ladder_vae"] | {"latent_dim": 8, "sensitivity_every": 0}
    model = LadderVAE(SHAPE, selection=selection, **sizes)
    seen = {
        f"batch_top_k_{number}": vars(TopKStatistics.zeros(size))
        | {"importance": jnp.arange(size, dtype=jnp.float32), "count": jnp.int32(1)}
        for number, size in enumerate(model.levels)
    }
    z_NxD = np.linspace(-2.1, 1, 16, dtype=np.float32).reshape(2, 8)
    kept = model.apply({"batch_stats": seen}, z_NxD, method="sparsify")
    largest = [[0, 3, 4], [0, 6, 7]] if selection == "sample" else [[2, 6, 7]] * 2
    assert [np.flatnonzero(row).tolist() for row in kept] == largest
    statistics = find_statistics(seen)
    assert statistics is not None
    frequency_D = model.frequency(statistics)
    assert np.flatnonzero(frequency_D).tolist() == ([] if selection == "sample" else [2, 6, 7])
    swaps_from_top = [selection == "sample"] * 3 + [False] * 5
    np.testing.assert_array_equal(model.swaps()[0], swaps_from_top)


@pytest.mark.long
@pytest.mark.parametrize("selection", ["element", "sample"])
def test_codes_whose_mask_rests_on_variances_keep_it(selection):
    sizes = BESIDES["ladder_vae"] | {"latent_dim": 8}
    model = LadderVAE(SHAPE, selection=selection, score="kl", **sizes)
    x = jax.random.uniform(jax.random.key(0), (4, *SHAPE))
    variables = model.init({"params": jax.random.key(1), "latent": jax.random.key(2)}, x)
    _, seen = model.apply(
        variables, x, use_running_average=False, method="encode", mutable="batch_stats"
    )
    variables |= seen
    codes, latents = (model.apply(variables, x, method=name) for name in ("encode", "latents"))
    assert (codes == 0).any()
    np.testing.assert_array_equal(codes, latents)
    np.testing.assert_array_equal(codes, model.apply(variables, latents, method="sparsify"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"levels": (64,)}, r"^levels must be two or more, got \(64,\)$"),
        ({"levels": (16, 32)}, "^levels must add up to latent_dim, 64, got .* which are 48$"),
        ({"latent_dim": 8}, "^levels must add up to latent_dim, 8, got"),
        ({"level_k": (4,)}, r"^level_k must have one K for each of 2 levels, got \(4,\)$"),
        ({"level_k": (17, 8)}, r"^level_k must be at most levels, \(16, 48\), got \(17, 8\)$"),
        ({"level_k": (0, 8)}, "^level_k must be at least 1"),
        ({"selection": "slot"}, "^selection must be one of"),
        ({"k": 3}, "^k is not a field of ladder_vae"),
    ],
)
def test_levels_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Config("ladder_vae", **fields)


def test_the_summary_says_the_k_of_each_level():
    config = SMALL.replace(model="ladder_vae", **BESIDES["ladder_vae"])
    assert config.system.summary == "K = 1 of 3, 2 of 5, by dimension"
