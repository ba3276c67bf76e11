"""Edges of the statistics: nothing left out, nothing active, and padding, which never counts."""

import functools
from typing import get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.params import long_but
from vae_topk_jax import BatchTopK
from vae_topk_jax.models import VSC, BatchTopKSAE, BetaVAE, System, TopKVAE
from vae_topk_jax.models.sparse_generator import SparseGenerator
from vae_topk_jax.rule import SelectionRule

SHAPE, D, K, B, PADDING = (4, 4, 1), 6, 2, 8, 3
GIVEN = {"image_shape": SHAPE, "latent_dim": D}
TOP_K = functools.partial(TopKVAE, **GIVEN, widths=(8,), k=K, kl_inactive=0.5, sensitivity_every=1)
SYSTEMS: dict[str, System] = {
    "beta_vae": BetaVAE(**GIVEN, widths=(8,)),
    **{rule: TOP_K(selection=rule) for rule in get_args(SelectionRule)},
    "batch_topk_sae": BatchTopKSAE(**GIVEN, k=K, dead_after=B, k_anneal=0.5),
    "vsc": VSC(**GIVEN, widths=(8,)),
    "sparse_generator": SparseGenerator(**GIVEN, widths=(8,), inference_steps=3),
}
USUAL = {"beta_vae", "dimension", "element", "batch_topk_sae"}


@pytest.fixture(
    scope="module",
    params=long_but(USUAL, SYSTEMS),
)
def system(request: pytest.FixtureRequest) -> System:
    return SYSTEMS[request.param]


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (B, *SHAPE))


def trained(layer: BatchTopK, *batches: jax.Array) -> dict:
    variables = layer.init(jax.random.key(0), batches[0], use_running_average=False)
    for batch in batches:
        _, variables = layer.apply(
            variables, batch, use_running_average=False, mutable="batch_stats"
        )
    return variables


def normal_batches(count: int, size: int) -> list[jax.Array]:
    return [jax.random.normal(jax.random.key(seed), (16, size)) for seed in range(count)]


@pytest.mark.parametrize("size", [1, 6])
@pytest.mark.parametrize("calibration", ["boundary", "lowest"])
def test_all_of_the_latents_pass_where_k_is_all_of_them(size, calibration):
    layer = BatchTopK(k=size, selection="element", calibration=calibration)
    variables = trained(layer, *normal_batches(20, size))
    z = jax.random.normal(jax.random.key(99), (500, size))
    np.testing.assert_array_equal(layer.apply(variables, z, use_running_average=True), z)


def positive(z, mu, logvar):
    return jnp.where(z > 0, z, -jnp.inf)


def test_all_that_can_pass_does_where_fewer_than_k_could_in_training():
    """About 3 of 6 entries are positive, so that none of them is left out by k = 5."""
    layer = BatchTopK(k=5, selection="element", score=positive)
    variables = trained(layer, *normal_batches(20, 6))
    z = jax.random.normal(jax.random.key(99), (500, 6))
    kept = layer.apply(variables, z, use_running_average=True)
    np.testing.assert_array_equal(kept, jnp.maximum(z, 0))


def test_an_sae_of_data_without_a_positive_activation_trains_and_decodes(x):
    model = SYSTEMS["batch_topk_sae"]
    variables = model.init(jax.random.key(1), x)
    variables["params"]["b_enc"] = jnp.full(D, -100.0)
    (loss, _), stats = model.apply(
        variables, x, x, train=True, method="loss", mutable="batch_stats"
    )
    assert np.isfinite(loss)
    assert stats["batch_stats"]["batch_top_k"]["count"] == 1
    chex.assert_tree_all_finite(stats["batch_stats"]["batch_top_k"]["frequency"])
    variables = {**variables, **stats}
    np.testing.assert_array_equal(model.apply(variables, x, method="encode"), 0)
    bias = jnp.broadcast_to(variables["params"]["b_dec"].reshape(SHAPE), x.shape)
    np.testing.assert_array_equal(model.apply(variables, x, method="reconstruct"), bias)


def step(system: System, variables: dict, x: jax.Array, valid: jax.Array | None = None) -> tuple:
    """((loss, (terms, statistics)), gradients) of a training step."""

    def loss(params: dict) -> tuple[jax.Array, tuple]:
        (value, terms), stats = system.apply(
            {**variables, "params": params},
            x,
            x,
            valid,
            train=True,
            progress=0.25,
            method="loss",
            rngs={"latent": jax.random.key(2)},
            mutable="batch_stats",
        )
        return value, (terms, stats)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])


@pytest.fixture(scope="module")
def variables(system: System, x: jax.Array) -> dict:
    """After a step, so that there are statistics."""
    start = jax.jit(system.init)({"params": jax.random.key(1), "latent": jax.random.key(1)}, x)
    (_, (_, stats)), _ = step(system, start, x)
    return {**start, **stats}


def test_padding_changes_neither_losses_nor_gradients_nor_statistics(system, variables, x):
    padded = jnp.concatenate([x, jnp.full((PADDING, *SHAPE), 0.9)])
    found = step(system, variables, padded, jnp.arange(B + PADDING) < B)
    chex.assert_trees_all_close(found, step(system, variables, x), rtol=1e-4, atol=1e-6)


def test_padding_alone_changes_no_statistics(system, variables, x):
    (_, (_, stats)), _ = step(system, variables, x, jnp.zeros(B, bool))
    before = {name: variables[name] for name in stats}
    chex.assert_trees_all_equal(stats, before)
