"""BatchTopK keeps the discipline of BatchNorm."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from vae_topk_jax import BatchTopK, batch_top_k_mask
from vae_topk_jax.importance import IMPORTANCES

B, D, K = 16, 6, 2


@pytest.fixture
def z() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (B, D)) * jnp.arange(1.0, D + 1)[None]


@pytest.fixture
def layer() -> BatchTopK:
    return BatchTopK(k=K, importance="mean_abs_mu", decay=0.9)


def init(layer: BatchTopK, z: jax.Array) -> dict:
    return layer.init(jax.random.key(1), z, use_running_average=False)


def train(layer: BatchTopK, variables: dict, *args, **options):
    return layer.apply(
        variables, *args, **options, use_running_average=False, mutable="batch_stats"
    )


def active(z_BxD: jax.Array) -> set[int]:
    return set(np.flatnonzero(np.any(np.asarray(z_BxD) != 0, axis=0)).tolist())


def test_initialising_updates_nothing(layer, z):
    stats = init(layer, z)["batch_stats"]
    assert stats["count"] == 0
    assert not stats["importance"].any()
    assert stats["importance"].dtype == jnp.float32


def test_training_masks_by_the_batch_and_counts_it(layer, z):
    kept, updated = train(layer, init(layer, z), z)
    importance = IMPORTANCES["mean_abs_mu"](z, z, z)
    np.testing.assert_array_equal(kept, z * batch_top_k_mask(importance, K)[None])
    np.testing.assert_allclose(updated["batch_stats"]["importance"], importance)
    assert updated["batch_stats"]["count"] == 1


def test_inference_uses_the_running_average_and_never_the_batch(layer, z):
    _, variables = train(layer, init(layer, z), z)
    reversed_sizes = z[:, ::-1]
    kept = layer.apply(variables, reversed_sizes, use_running_average=True)
    assert active(kept) == active(train(layer, variables, z)[0])
    one_by_one = [layer.apply(variables, row[None], use_running_average=True) for row in z[:3]]
    np.testing.assert_array_equal(
        jnp.concatenate(one_by_one), layer.apply(variables, z, use_running_average=True)[:3]
    )


def test_inference_leaves_the_statistics_alone(layer, z):
    _, variables = train(layer, init(layer, z), z)
    _, after = layer.apply(variables, z, use_running_average=True, mutable="batch_stats")
    jax.tree.map(np.testing.assert_array_equal, after, variables)


def test_inference_before_the_first_batch_is_refused(layer, z):
    with pytest.raises(ValueError, match="seen no batch yet"):
        layer.apply(init(layer, z), z, use_running_average=True)


def test_inference_before_the_first_batch_is_nan_where_it_cannot_be_refused(layer, z):
    apply = jax.jit(functools.partial(layer.apply, use_running_average=True))
    assert np.isnan(apply(init(layer, z), z)).all()


def test_the_attribute_may_choose_instead_of_the_call(z):
    layer = BatchTopK(k=K, use_running_average=False)
    variables = layer.init(jax.random.key(1), z)
    assert layer.apply(variables, z, mutable="batch_stats")[0].shape == z.shape


@pytest.mark.parametrize(("attribute", "argument"), [(None, None), (True, False)])
def test_the_choice_is_made_once(z, attribute, argument):
    layer = BatchTopK(k=K, use_running_average=attribute)
    with pytest.raises(ValueError, match="use_running_average"):
        layer.init(jax.random.key(1), z, use_running_average=argument)


def test_a_batch_that_is_not_finite_leaves_the_statistics_alone(layer, z):
    _, variables = train(layer, init(layer, z), z)
    _, after = train(layer, variables, z.at[0, 0].set(jnp.nan))
    jax.tree.map(np.testing.assert_array_equal, after, variables)


def test_padding_changes_nothing(layer, z):
    padded = jnp.concatenate([z, jnp.full((5, D), 1e3)])
    valid = jnp.arange(B + 5) < B
    kept, stats = train(layer, init(layer, z), z)
    kept_padded, stats_padded = train(layer, init(layer, z), padded, valid_B=valid)
    np.testing.assert_array_equal(kept_padded[:B], kept)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), stats_padded, stats)


def test_a_batch_split_over_a_mapped_axis_is_one_batch(z):
    layer = BatchTopK(k=K, importance="var_mu", axis_name="devices")
    variables = init(layer, z)
    _, whole = train(BatchTopK(k=K, importance="var_mu"), variables, z)
    mapped = jax.vmap(
        lambda shard: train(layer, variables, shard), axis_name="devices", out_axes=(0, None)
    )
    kept, split = mapped(z.reshape(4, B // 4, D))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), split, whole)
    assert len(active(kept.reshape(B, D))) == K


def test_a_batch_split_by_sharding_is_one_batch(layer, z):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    variables = init(layer, z)
    step = jax.jit(functools.partial(train, layer))
    kept, stats = step(variables, z)
    sharded = jax.device_put(z, NamedSharding(mesh, PartitionSpec("data")))
    kept_sharded, stats_sharded = step(variables, sharded)
    np.testing.assert_array_equal(kept_sharded, kept)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), stats_sharded, stats)


def test_a_batch_split_by_shard_map_is_one_batch(z):
    layer = BatchTopK(k=K, importance="signal_to_noise", axis_name="data")
    variables = init(layer, z)
    kept, stats = train(BatchTopK(k=K, importance="signal_to_noise"), variables, z)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.shard_map(
        functools.partial(train, layer, variables),
        mesh=mesh,
        in_specs=PartitionSpec("data"),
        out_specs=(PartitionSpec("data"), PartitionSpec()),
    )
    kept_split, stats_split = jax.jit(split)(z)
    np.testing.assert_array_equal(kept_split, kept)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), stats_split, stats)


def test_a_custom_importance_needs_no_more_than_three_arguments(z):
    layer = BatchTopK(k=1, importance=lambda z, mu, logvar: jnp.arange(D, 0.0, -1.0))
    assert active(train(layer, init(layer, z), z)[0]) == {0}


def test_drops_into_a_model_like_batch_norm(z):
    class Autoencoder(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool):
            h = nn.BatchNorm(use_running_average=not train)(nn.Dense(D)(x))
            return nn.Dense(x.shape[-1])(BatchTopK(k=K)(h, use_running_average=not train))

    model = Autoencoder()
    variables = model.init(jax.random.key(3), z, train=False)
    out, updated = model.apply(variables, z, train=True, mutable="batch_stats")
    assert out.shape == z.shape
    assert updated["batch_stats"]["BatchTopK_0"]["count"] == 1
    assert model.apply({**variables, **updated}, z, train=False).shape == z.shape


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": D + 1}, "k must lie between 1 and the 6 dimensions, got 7"),
        ({"k": 0}, "k must lie between 1 and the 6 dimensions, got 0"),
        ({"k": K, "importance": "size"}, "importance must be a callable or one of"),
        ({"k": K, "importance": lambda z, mu, logvar: z}, r"importance must return shape \(6,\)"),
        ({"k": K, "decay": 1.5}, "decay must lie in"),
    ],
)
def test_bad_attributes_are_named(z, options, message):
    layer = BatchTopK(**options)
    variables = init(BatchTopK(k=K), z)
    with pytest.raises(ValueError, match=message):
        train(layer, variables, z)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((jnp.zeros((2, 2, 2)),), {}, "z must have two axes"),
        ((jnp.zeros((2, 3)), jnp.zeros((2, 4))), {}, "mu must have the shape of z"),
        ((jnp.zeros((2, 3)),) * 2 + (jnp.zeros(3),), {}, "logvar must have the shape of z"),
        ((jnp.zeros((2, 3)),), {"valid_B": jnp.ones(3)}, "valid must have shape"),
    ],
)
def test_bad_arrays_are_named(arguments, options, message):
    layer = BatchTopK(k=1, use_running_average=False)
    with pytest.raises(ValueError, match=message):
        layer.init(jax.random.key(0), *arguments, **options)
