"""TopK, Matryoshka, JumpReLU, gated and L1 dictionaries against their equations in NumPy."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_topk_jax.config import Config
from vae_topk_jax.models import (
    BatchTopKSAE,
    GatedSAE,
    JumpReLUSAE,
    MatryoshkaSAE,
    ReLUSAE,
    TopKSAE,
)
from vae_topk_jax.models.dictionary import TrainingCode, centred_product
from vae_topk_jax.models.jump_relu_sae import above, jump_relu

F, D, K, B = 6, 16, 3, 12
GIVEN = {"image_shape": (1, 1, F), "latent_dim": D, "pixel_reduction": "sum"}


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return 0.3 + jax.random.normal(jax.random.key(0), (B, 1, 1, F))


def variables_of(model, x) -> dict:
    variables = model.init(jax.random.key(1), x)
    variables["params"]["b_enc"] = 0.3 * jax.random.normal(jax.random.key(2), (D,))
    variables["params"]["b_dec"] = 0.3 * jax.random.normal(jax.random.key(3), (F,))
    return variables


@functools.partial(jax.jit, static_argnames="model")
def train_terms(model, variables, x, valid=None) -> dict:
    (_, terms), _ = model.apply(
        variables, x, x, valid, train=True, method="loss", mutable=["batch_stats"]
    )
    return terms


def numpy_weights(variables) -> dict[str, np.ndarray]:
    return {name: np.asarray(array, np.float64) for name, array in variables["params"].items()}


def preactivations(weights, x) -> np.ndarray:
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    return (flat - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]


def test_top_k_keeps_the_k_largest_of_each_input(x):
    model = TopKSAE(**GIVEN, k=K)
    variables = variables_of(model, x)
    f = np.maximum(preactivations(numpy_weights(variables), x), 0)
    expected = np.where(f >= np.sort(f, axis=1)[:, -K, None], f, 0)
    np.testing.assert_allclose(model.apply(variables, x, method="encode"), expected, atol=1e-5)
    weights = numpy_weights(variables)
    x_hat = expected @ weights["W_dec"] + weights["b_dec"]
    error = np.square(np.asarray(x)[:, 0, 0] - x_hat).sum(axis=1).mean()
    terms = train_terms(model, variables, x)
    np.testing.assert_allclose(terms["reconstruction"], error, rtol=1e-5)
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"], rtol=1e-6)


def test_the_dead_explain_the_residual_by_the_largest_of_each_input():
    """Fewer dead latents than are chosen of, as many, more; with ties, and entries of 0."""
    aux_k, keys = 4, jax.random.split(jax.random.key(6), 3)
    model = TopKSAE(**GIVEN, k=K, aux_k=aux_k, aux_weight=1.0)
    pre_BxD = jnp.round(2 * jax.random.normal(keys[0], (B, D))) / 2
    residual_BxF = jax.random.normal(keys[1], (B, F))
    W_DxF = jax.random.normal(keys[2], (D, F))
    variables = model.init(jax.random.key(1), jnp.zeros((1, 1, 1, F)))

    def ours(pre_BxD, W_DxF, dead_D):
        f_BxD = jax.nn.relu(pre_BxD)
        code = TrainingCode(f_BxD, f_BxD, f_BxD, residual_BxF, dead_D, None)
        held = {**variables, "params": {**variables["params"], "W_dec": W_DxF}}
        return model.apply(held, code, 1.0, method="penalty")[0]

    def by_sorting(pre_BxD, W_DxF, dead_D):
        f_BxD = jax.nn.relu(pre_BxD)
        rank_BxD = jnp.where(dead_D[None], f_BxD, -jnp.inf)
        best_BxA = jax.lax.top_k(rank_BxD, aux_k)[1]
        mask_BxD = jnp.zeros((B, D)).at[jnp.arange(B)[:, None], best_BxA].set(1.0)
        guess_BxF = (f_BxD * jnp.where(dead_D[None], mask_BxD, 0.0)) @ W_DxF
        spread_BxF = residual_BxF - jnp.mean(residual_BxF, axis=0)[None]
        left = jnp.sum(jnp.square(residual_BxF - guess_BxF)) / jnp.sum(jnp.square(spread_BxF))
        return jnp.where(jnp.any(dead_D), left, 0.0)

    step, reference = (jax.jit(jax.value_and_grad(g, (0, 1))) for g in (ours, by_sorting))
    for dead in (0, 2, aux_k, 9, 99):
        dead_D = jnp.arange(D) % 5 * 4 + jnp.arange(D) // 5 < dead
        (value, grads), (expected, slopes) = (g(pre_BxD, W_DxF, dead_D) for g in (step, reference))
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        for grad, slope in zip(grads, slopes, strict=True):
            np.testing.assert_allclose(grad, slope, atol=1e-6)


def test_no_step_sorts_the_latents_of_a_batch():
    model = TopKSAE((1, 1, 8), latent_dim=2**16, k=64, aux_k=384)
    x = jax.ShapeDtypeStruct((8192, 1, 1, 8), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)

    def loss(params, batch_stats, x):
        held = {"params": params, "batch_stats": batch_stats}
        return model.apply(held, x, x, train=True, method="loss", mutable=["batch_stats"])[0][0]

    step = jax.jit(jax.grad(loss)).lower(variables["params"], variables["batch_stats"], x)
    for line in step.compile().as_text().splitlines():
        operation = line.partition("metadata")[0]
        if re.search(r" sort\(| topk\(|\"TopK\"", operation):
            shapes = re.findall(r"\[([\d,]+)\]", operation)
            assert all(math.prod(map(int, s.split(","))) <= 1_000_000 for s in shapes), line


def test_matryoshka_adds_up_the_errors_of_its_beginnings(x):
    model = MatryoshkaSAE(**GIVEN, k=K, group_fractions=(0.25, 0.5))
    assert model.widths == (4, 8, 16)
    variables = variables_of(model, x)
    z, _ = model.apply(
        variables, x, use_running_average=False, method="encode", mutable=["batch_stats"]
    )
    weights, flat = numpy_weights(variables), np.asarray(x)[:, 0, 0]
    errors = [
        np.square(flat - np.asarray(z)[:, :w] @ weights["W_dec"][:w] - weights["b_dec"]).sum(axis=1)
        for w in model.widths
    ]
    terms = train_terms(model, variables, x)
    np.testing.assert_allclose(terms["loss"], sum(errors).mean(), rtol=1e-5)
    np.testing.assert_allclose(terms["reconstruction"], errors[-1].mean(), rtol=1e-5)
    valid = jnp.arange(B) < 5
    masked = train_terms(model, variables, x.at[5:].set(100.0), valid)
    np.testing.assert_allclose(masked["loss"], train_terms(model, variables, x[:5])["loss"], 1e-5)


def test_matryoshka_is_batch_top_k_at_inference(x):
    model, plain = MatryoshkaSAE(**GIVEN, k=K), BatchTopKSAE(**GIVEN, k=K)
    variables = variables_of(model, x)
    outputs = []
    for sae in (model, plain):
        (_, _), stats = sae.apply(
            variables, x, x, train=True, method="loss", mutable=["batch_stats"]
        )
        outputs.append(np.asarray(sae.apply({**variables, **stats}, x)))
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("fractions", [(0.5, 0.25), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), ()])
def test_bad_inner_widths_are_refused_in_one_line(fractions):
    with pytest.raises(ValueError, match=r"^group_fractions must") as error:
        Config(model="matryoshka_sae", group_fractions=fractions)
    assert "\n" not in str(error.value)


def test_jump_relu_jumps_and_counts(x):
    model = JumpReLUSAE(**GIVEN, k=K, first_threshold=0.7, sparsity_weight=2.0)
    variables = variables_of(model, x)
    pre = preactivations(numpy_weights(variables), x)
    np.testing.assert_allclose(
        model.apply(variables, x, method="latents"), np.where(pre > 0.7, pre, 0), atol=1e-5
    )
    terms = train_terms(model, variables, x)
    l0 = (pre > 0.7).sum(axis=1).mean()
    np.testing.assert_allclose(terms["l0"], l0, rtol=1e-6)
    penalty = 2.0 * (l0 / K - 1) ** 2
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"] + penalty, rtol=1e-5)


def test_gradients_of_thresholds_are_straight_through():
    pre, threshold, width = jnp.array([[0.95, 2.0], [1.2, 1.04]]), jnp.array([1.0, 1.0]), 0.2
    weight = jnp.array([[1.0, 3.0], [5.0, 7.0]])
    for function, scale in ((jump_relu, threshold), (above, jnp.ones(2))):

        def total(pre, threshold, function=function):
            return jnp.sum(weight * function(pre, threshold, width))

        to_pre, to_threshold = jax.grad(total, argnums=(0, 1))(pre, threshold)
        # only 0.95 and 1.04 lie within half a bandwidth
        np.testing.assert_allclose(to_threshold, -scale * jnp.array([1.0, 7.0]) / width, rtol=1e-6)
        through = (
            jnp.where(pre > threshold[None], weight, 0.0)
            if function is jump_relu
            else jnp.zeros((2, 2))
        )
        np.testing.assert_array_equal(to_pre, through)


def test_jump_relu_reaches_its_l0_and_keeps_thresholds_positive(x):
    model = JumpReLUSAE(**GIVEN, k=K, first_threshold=0.1, sparsity_weight=10.0, bandwidth=0.5)
    variables = variables_of(model, x)
    optimizer = model.optimizer(optax.adam(0.02))
    params, stats = variables["params"], variables["batch_stats"]
    state = optimizer.init(params)

    @jax.jit
    def step(params, stats, state):
        def loss_of(params):
            (loss, terms), new = model.apply(
                {"params": params, "batch_stats": stats},
                x,
                x,
                train=True,
                method="loss",
                mutable=["batch_stats"],
            )
            return loss, (terms["l0"], new["batch_stats"])

        (_, (l0, new)), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, after = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), new, after, l0

    _, _, _, before = step(params, stats, state)
    for _ in range(200):
        params, stats, state, l0 = step(params, stats, state)
    assert abs(l0 - K) < 0.5 < abs(before - K)
    assert params["threshold"].min() >= 0
    np.testing.assert_allclose(jnp.linalg.norm(params["W_dec"], axis=1), 1, atol=1e-5)


def test_l1_taxes_the_latents(x):
    model = ReLUSAE(**GIVEN, sparsity_weight=0.5)
    variables = variables_of(model, x)
    f = np.maximum(preactivations(numpy_weights(variables), x), 0)
    terms = train_terms(model, variables, x)
    np.testing.assert_allclose(terms["l1"], f.sum(axis=1).mean(), rtol=1e-5)
    np.testing.assert_allclose(terms["loss"], terms["reconstruction"] + 0.5 * terms["l1"], 1e-5)


def test_the_gated_loss_and_its_gradients_are_those_of_the_paper(x):
    model = GatedSAE(**GIVEN, sparsity_weight=0.5)
    params = variables_of(model, x)["params"]
    for number, name in enumerate(("r_mag", "b_mag")):
        params[name] = 0.3 * jax.random.normal(jax.random.key(5 + number), (D,))
    stats = model.init(jax.random.key(1), x)["batch_stats"]

    def ours(params):
        loss, terms = model.apply(
            {"params": params, "batch_stats": stats},
            x,
            x,
            train=True,
            method="loss",
            mutable=["batch_stats"],
        )[0]
        return loss, terms

    def of_the_paper(params):
        flat = x[:, 0, 0]
        product = (flat - params["b_dec"][None]) @ params["W_enc"]
        gate = jax.nn.relu(product + params["b_enc"][None])
        f = jax.nn.relu(jnp.exp(params["r_mag"])[None] * product + params["b_mag"][None])
        z = jax.lax.stop_gradient((gate > 0).astype(jnp.float32)) * f
        frozen = jax.lax.stop_gradient(params)
        again = [
            jnp.sum(jnp.square(flat - code @ held["W_dec"] - held["b_dec"][None])) / B
            for code, held in ((z, params), (gate, frozen))
        ]
        l1 = jnp.sum(gate) / B
        return sum(again) + 0.5 * l1, {"reconstruction": again[0], "auxiliary": again[1], "l1": l1}

    (loss, terms), grads = jax.jit(jax.value_and_grad(ours, has_aux=True))(params)
    (expected, parts), slopes = jax.jit(jax.value_and_grad(of_the_paper, has_aux=True))(params)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for name, part in parts.items():
        np.testing.assert_allclose(terms[name], part, rtol=1e-5)
    for name, slope in slopes.items():
        assert np.abs(slope).max() > 0
        np.testing.assert_allclose(grads[name], slope, rtol=1e-4, atol=1e-5)


def plain_product(x_BxF, b_F, w_FxD):
    return (x_BxF - b_F[None, :]) @ w_FxD


def test_the_derivatives_of_the_centred_product_are_the_plain_ones():
    keys = jax.random.split(jax.random.key(4), 4)
    shapes = (B, F), (F,), (F, D), (B, D)
    *args, cotangent = (jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
    ours = functools.partial(centred_product, jnp.float32)
    for product in (jax.vjp, jax.linearize):
        found, expected = product(ours, *args)[1], product(plain_product, *args)[1]
        given = (cotangent,) if product is jax.vjp else tuple(args)
        for a, b in zip(
            jax.tree.leaves(found(*given)), jax.tree.leaves(expected(*given)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_bias_costs_no_product_of_the_batch():
    x, b, w = jnp.ones((64, 32)), jnp.ones(32), jnp.ones((32, 48))

    def flops(product):
        def loss(b, w):
            return jnp.sum(jnp.square(product(x, b, w)))

        return jax.jit(jax.grad(loss, (0, 1))).lower(b, w).compile().cost_analysis()["flops"]

    saved = flops(plain_product) - flops(functools.partial(centred_product, jnp.float32))
    assert saved > 0.9 * 2 * 64 * 32 * 48
