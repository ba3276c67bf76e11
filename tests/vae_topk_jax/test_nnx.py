"""The NNX layer is the Linen layer, and keeps its statistics wherever NNX models go."""

from typing import get_args

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from orbax.checkpoint import v1 as ocp

import vae_topk_jax
from tests.helpers.models import MLP
from tests.helpers.runs import bits
from vae_topk_jax import BatchTopKSAE, TopKVAE
from vae_topk_jax.nnx import BatchTopK, ToNNX
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.statistics import NAMES, find_statistics

B, F, D, K = 16, 12, 6, 2
RULES = get_args(SelectionRule)
OPTIMIZER = optax.sgd(0.1, momentum=0.9)

EVERY_RULE = pytest.mark.parametrize("rule", RULES)


class Autoencoder(nnx.Module):
    def __init__(self, rule: SelectionRule, rngs: nnx.Rngs):
        self.encoder = nnx.Linear(F, D, rngs=rngs)
        self.top_k = BatchTopK(D, k=K, selection=rule, decay=0.9)
        self.decoder = nnx.Linear(D, F, rngs=rngs)

    def __call__(self, x):
        return self.decoder(self.top_k(self.encoder(x)))


class LinenAutoencoder(nn.Module):
    rule: SelectionRule

    def setup(self):
        self.encoder, self.decoder = nn.Dense(D), nn.Dense(F)
        self.top_k = vae_topk_jax.BatchTopK(k=K, selection=self.rule, decay=0.9)

    def __call__(self, x, train: bool):
        return self.decoder(self.top_k(self.encoder(x), use_running_average=not train))


def squared_error(model, x):
    return jnp.mean(jnp.square(model(x) - x))


@nnx.jit
def step(model, optimizer, x):
    error, gradient = nnx.value_and_grad(squared_error)(model, x)
    optimizer.update(model, gradient)
    return error


@pytest.fixture(scope="module")
def batches() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (50, B, F))


@pytest.fixture
def z() -> jax.Array:
    return jax.random.normal(jax.random.key(1), (B, D)) * jnp.arange(1.0, D + 1)[None]


def as_linen(model: Autoencoder) -> dict:
    """The variables of the same Linen model."""
    layers = {name: vars(getattr(model, name)) for name in ("encoder", "decoder")}
    params = {n: {w: v[w][...] for w in ("kernel", "bias")} for n, v in layers.items()}
    return {"params": params, "batch_stats": {"top_k": vars(model.top_k.statistics)}}


@pytest.mark.parametrize("rule", ["dimension", "element"])
def test_fifty_steps_give_the_bits_of_linen(batches, rule):
    model, linen = Autoencoder(rule, nnx.Rngs(0)), LinenAutoencoder(rule)
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)
    variables = jax.tree.map(jnp.copy, as_linen(model))
    chex.assert_trees_all_equal_shapes_and_dtypes(
        variables, linen.init(jax.random.key(0), batches[0], train=True)
    )
    opt_state = OPTIMIZER.init(variables["params"])

    @jax.jit
    def linen_step(variables, opt_state, x):
        def error(params):
            y, updated = linen.apply(
                variables | {"params": params}, x, train=True, mutable="batch_stats"
            )
            return jnp.mean(jnp.square(y - x)), updated

        (value, updated), gradient = jax.value_and_grad(error, has_aux=True)(variables["params"])
        updates, opt_state = OPTIMIZER.update(gradient, opt_state)
        params = optax.apply_updates(variables["params"], updates)
        return {"params": params, **updated}, opt_state, value

    for x in batches:
        value = step(model, optimizer, x)
        variables, opt_state, linen_value = linen_step(variables, opt_state, x)
        assert value == linen_value
    assert bits(as_linen(model)) == bits(variables)
    assert model.top_k.count[...] == len(batches)
    model.eval()
    np.testing.assert_array_equal(
        model(batches[0]), linen.apply(variables, batches[0], train=False)
    )


@EVERY_RULE
def test_every_argument_is_that_of_linen(z, rule):
    own = {"k": 3, "selection": rule, "importance": "mean_abs_mu", "score": "kl", "decay": 0.5}
    own |= {"calibration": "lowest", "calibrate_after": 1, "cap": rule == "element"}
    given = {"valid_B": jnp.arange(B) < 12, "weight_D": jnp.arange(1.0, D + 1)}
    given |= {"score_BxD": jnp.cos(z)} if rule == "slot" else {"count": 2}
    layer, linen = BatchTopK(D, **own), vae_topk_jax.BatchTopK(**own)
    variables = {"batch_stats": vars(layer.statistics)}
    for scale in (1.0, 2.0):
        selection = layer.select(scale * z, z, 0.1 * z, **given)
        expected, variables = linen.apply(
            variables,
            scale * z,
            z,
            0.1 * z,
            **given,
            use_running_average=False,
            mutable="batch_stats",
            method="select",
        )
        chex.assert_trees_all_equal(selection, expected)
    chex.assert_trees_all_equal(vars(layer.statistics), variables["batch_stats"])


def test_it_follows_train_and_eval_and_view_as_batch_norm_does(z):
    model = nnx.Sequential(nnx.BatchNorm(D, rngs=nnx.Rngs(0)), BatchTopK(D, k=K))
    norm, layer = model.layers
    model(z)
    for switch, running in ((model.eval, True), (model.train, False)):
        switch()
        assert layer.use_running_average == norm.use_running_average == running
    assert nnx.view(layer, use_running_average=True).use_running_average
    before = bits(vars(layer.statistics))
    kept = layer(z, use_running_average=True)
    assert bits(vars(layer.statistics)) == before
    np.testing.assert_array_equal(kept, nnx.view(layer, use_running_average=True)(z))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: BatchTopK(D, k=D + 1), "k must lie between 1 and the 6 dimensions, got 7"),
        (lambda z: BatchTopK(D, k=1, selection="row"), "selection must be one of"),
        (lambda z: BatchTopK(D + 1, k=1)(z), "z must have 7 latents, num_features of the layer"),
        (lambda z: BatchTopK(D, k=1, use_running_average=None)(z), "use_running_average must be"),
        (lambda z: BatchTopK(D, k=1)(z, use_running_average=True), "seen no batch yet"),
        (lambda z: BatchTopK(D, k=1)(z, valid_B=jnp.ones(3)), "valid must have shape"),
    ],
)
def test_what_is_wrong_is_named(z, call, message):
    with pytest.raises(ValueError, match=message):
        call(z)


def test_vmap_over_layers_gives_each_its_own_statistics(z):
    @nnx.vmap(in_axes=0, out_axes=0)
    def make(_):
        return BatchTopK(D, k=K)

    @nnx.vmap(in_axes=(0, 0), out_axes=0)
    def call(layer, z):
        return layer(z)

    layers, scales = make(jnp.arange(3)), jnp.arange(1.0, 4.0)[:, None, None]
    kept = call(layers, scales * z[None])
    for i, scale in enumerate((1.0, 2.0, 3.0)):
        alone = BatchTopK(D, k=K)
        np.testing.assert_array_equal(kept[i], alone(scale * z))
        for name in NAMES:
            np.testing.assert_array_equal(getattr(layers, name)[i], getattr(alone, name)[...])


def test_vmap_over_a_batch_is_one_batch_with_an_axis_name(z):
    layer, whole = BatchTopK(D, k=K, axis_name="parts"), BatchTopK(D, k=K)

    @nnx.vmap(in_axes=(None, 0), out_axes=0, axis_name="parts")
    def call(layer, z):
        return layer(z)

    np.testing.assert_array_equal(call(layer, z.reshape(4, 4, D)).reshape(B, D), whole(z))
    chex.assert_trees_all_close(vars(layer.statistics), vars(whole.statistics), rtol=1e-6)


def test_scan_over_batches_keeps_the_statistics(z):
    layer, alone = BatchTopK(D, k=K), BatchTopK(D, k=K)

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def many(layer, z):
        return layer, layer(z)

    batches = jnp.stack([z, 2 * z])
    many(layer, batches)
    for batch in batches:
        alone(batch)
    chex.assert_trees_all_close(vars(layer.statistics), vars(alone.statistics), rtol=1e-6)


def test_orbax_gives_back_what_was_saved(z, tmp_path):
    layer, fresh = BatchTopK(D, k=K), BatchTopK(D, k=K)
    layer(z)
    ocp.save(tmp_path / "state", nnx.to_pure_dict(nnx.state(layer)))
    state = nnx.state(fresh)
    nnx.replace_by_pure_dict(state, ocp.load(tmp_path / "state", nnx.to_pure_dict(state)))
    nnx.update(fresh, state)
    assert bits(vars(fresh.statistics)) == bits(vars(layer.statistics))
    for model in (fresh, layer):
        model.eval()
    np.testing.assert_array_equal(fresh(z), layer(z))


@pytest.fixture(
    scope="module", params=[TopKVAE, pytest.param(BatchTopKSAE, marks=pytest.mark.long)]
)
def system(request):
    sizes = {name: MLP[name] for name in ("image_shape", "latent_dim", "widths")}
    if request.param is BatchTopKSAE:
        sizes.pop("widths")
    return request.param(**sizes, k=2)


@pytest.fixture(scope="module")
def x(system) -> jax.Array:
    return jax.random.uniform(jax.random.key(2), (8, *system.image_shape))


def test_a_system_keeps_its_statistics_through_jit_grad_and_view(system, x):
    model = ToNNX(system, x, rngs=nnx.Rngs(0, latent=1))
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x):
        loss, gradient = nnx.value_and_grad(lambda model: model.loss(x, x)[0])(model)
        optimizer.update(model, gradient)
        return loss

    first = step(model, optimizer, x)
    for _ in range(4):
        last = step(model, optimizer, x)
    assert last < first
    assert find_statistics(read(model.batch_stats)).count == 5
    nnx.view(model, use_running_average=False).loss(x, x)
    assert find_statistics(read(model.batch_stats)).count == 6
    model.eval()
    codes = model.encode(x)
    assert find_statistics(read(model.batch_stats)).count == 6
    variables = {"params": read(model.params), "batch_stats": read(model.batch_stats)}
    np.testing.assert_array_equal(codes, system.apply(variables, x, method="encode"))
    np.testing.assert_array_equal(
        model.decode(codes), system.apply(variables, codes, method="decode")
    )
    with pytest.raises(AttributeError, match="has no attribute 'apply'"):
        model.apply  # noqa: B018


def test_a_linen_module_of_ones_own_is_told_of_train_and_eval(batches):
    model = ToNNX(LinenAutoencoder("element"), batches[0], rngs=nnx.Rngs(0))
    model(batches[0])
    assert read(model.batch_stats)["top_k"]["count"] == 1
    model.eval()
    y = model(batches[0])
    assert read(model.batch_stats)["top_k"]["count"] == 1
    np.testing.assert_array_equal(y, model(batches[0], train=False))


def test_other_variables_than_those_it_keeps_are_refused(z):
    class Counter(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.variable("calls", "number", jnp.zeros, ())
            return x

    with pytest.raises(ValueError, match=r"params and batch_stats alone, got \['calls'\]"):
        ToNNX(Counter(), z, rngs=nnx.Rngs(0))


def read(variables: dict) -> dict:
    return jax.tree.map(
        lambda variable: variable[...],
        variables,
        is_leaf=lambda node: isinstance(node, nnx.Variable),
    )
