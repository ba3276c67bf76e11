"""The layer inside a model under what Flax and JAX do to models."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax import BatchTopK
from vae_topk_jax.statistics import all_statistics

B, D, K, LAYERS = 8, 6, 2, 3


class Block(nn.Module):
    """A residual block whose update is sparse; statistics of its own."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train: bool):
        h = nn.Dense(D)(x)
        layer = BatchTopK(k=K, decay=0.9, axis_name=self.axis_name)
        return x + layer(h, use_running_average=not train)


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (B, D))


@pytest.fixture(scope="module")
def block(x):
    return Block().init(jax.random.key(1), x, train=True)


def train(model: nn.Module, variables: dict, x: jax.Array, **options):
    return model.apply(variables, x, train=True, mutable="batch_stats", **options)


def test_under_nn_scan_each_layer_has_its_own_statistics(x):
    class Body(nn.Module):
        train: bool

        @nn.compact
        def __call__(self, x, _):
            return Block(name="block")(x, self.train), None

    def scanned(train: bool) -> nn.Module:
        return nn.scan(
            Body,
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True},
            length=LAYERS,
        )(train)

    variables = scanned(True).init(jax.random.key(1), x, None)
    (y, _), updated = scanned(True).apply(variables, x, None, mutable="batch_stats")
    expected = x
    for i in range(LAYERS):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
        one = {collection: inner["block"] for collection, inner in one.items()}
        expected, own = train(Block(), one, expected)
        stacked = jax.tree.map(lambda leaf, i=i: leaf[i], updated["batch_stats"]["block"])
        chex.assert_trees_all_close(stacked, own["batch_stats"], rtol=1e-6)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    at_inference, _ = scanned(False).apply({**variables, **updated}, x, None)
    assert np.isfinite(at_inference).all()
    ((path, statistics),) = all_statistics(updated["batch_stats"]).items()
    assert path == "block/BatchTopK_0"
    assert statistics.count.tolist() == [1] * LAYERS


@pytest.mark.parametrize("through", ["nn.remat", "jax.checkpoint"])
def test_recomputing_gives_the_same_gradient_and_counts_a_batch_once(x, block, through):
    def loss(apply: Callable, params):
        y, updated = apply({**block, "params": params}, x)
        return jnp.mean(jnp.square(y)), updated

    def plain(variables, x):
        return train(Block(), variables, x)

    def rematted(variables, x):
        model = nn.remat(Block, static_argnums=(2,))()
        return model.apply(variables, x, True, mutable="batch_stats")

    again = {"nn.remat": rematted, "jax.checkpoint": jax.checkpoint(plain)}[through]
    expected = jax.grad(lambda params: loss(plain, params), has_aux=True)(block["params"])
    found = jax.grad(lambda params: loss(again, params), has_aux=True)(block["params"])
    chex.assert_trees_all_close(found, expected, rtol=1e-6)
    assert found[1]["batch_stats"]["BatchTopK_0"]["count"] == 1


def test_under_nn_vmap_each_member_has_its_own_statistics(x):
    members = nn.vmap(
        Block,
        variable_axes={"params": 0, "batch_stats": 0},
        split_rngs={"params": True},
        in_axes=(0, None),
        axis_size=2,
    )()
    batches = jnp.stack([x, 2 * x])
    variables = members.init(jax.random.key(1), batches, True)
    y, updated = members.apply(variables, batches, True, mutable="batch_stats")
    for i in range(2):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
        expected, own = train(Block(), one, batches[i])
        np.testing.assert_allclose(y[i], expected, rtol=1e-6)
        stacked = jax.tree.map(lambda leaf, i=i: leaf[i], updated)
        chex.assert_trees_all_close(stacked, own, rtol=1e-6)


def test_under_nn_vmap_members_that_share_name_the_axis(x, block):
    shared = nn.vmap(
        Block,
        variable_axes={"params": None, "batch_stats": None},
        split_rngs={"params": False},
        in_axes=(0, None),
        axis_name="parts",
    )("parts")
    y, updated = shared.apply(block, x.reshape(2, B // 2, D), True, mutable="batch_stats")
    expected, whole = train(Block(), block, x)
    np.testing.assert_allclose(y.reshape(B, D), expected, rtol=1e-6)
    chex.assert_trees_all_close(updated, whole, rtol=1e-6)


def test_two_layers_of_a_model_have_their_own_statistics(x):
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool):
            x = BatchTopK(k=K)(x, use_running_average=not train)
            return BatchTopK(k=1, selection="dimension", name="last")(
                nn.Dense(4)(x), use_running_average=not train
            )

    model = Model()
    variables = model.init(jax.random.key(1), x, train=True)
    _, updated = train(model, variables, x)
    found = all_statistics(updated["batch_stats"])
    assert {path: len(own.importance) for path, own in found.items()} == {
        "BatchTopK_0": D,
        "last": 4,
    }
    sums = {path: float(own.frequency.sum()) for path, own in found.items()}
    assert sums == pytest.approx({"BatchTopK_0": K, "last": 1})
    assert np.isfinite(model.apply({**variables, **updated}, x, train=False)).all()


SWITCHES: dict[str, Callable[[], AbstractContextManager]] = {
    "jax_enable_x64": lambda: jax.enable_x64(True),
    "jax_debug_nans": lambda: jax.debug_nans(True),
    "jax_debug_infs": lambda: jax.debug_infs(True),
    "jax_disable_jit": jax.disable_jit,
    "jax_check_tracer_leaks": jax.checking_leaks,
}


@pytest.mark.parametrize(
    "switch",
    [pytest.param(s, marks=[pytest.mark.long] * (s == "jax_disable_jit")) for s in SWITCHES],
)
@pytest.mark.parametrize(
    "rule", ["element", *(pytest.param(r, marks=pytest.mark.long) for r in ("dimension", "sample"))]
)
def test_a_switch_of_jax_changes_nothing(x, switch, rule):
    layer = BatchTopK(k=K, selection=rule)

    def train_and_infer():
        start = layer.init(jax.random.key(0), x, use_running_average=False)
        kept, after = layer.apply(start, x, use_running_average=False, mutable="batch_stats")
        return start, kept, after, layer.apply(after, x, use_running_average=True)

    expected = jax.jit(train_and_infer)()
    with SWITCHES[switch]():
        found = jax.jit(train_and_infer)()
        if switch != "jax_debug_infs":  # of which an infinite constant outside of jit is one
            layer.apply(found[2], x, use_running_average=True)
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    chex.assert_trees_all_close(found, expected, rtol=1e-6)
