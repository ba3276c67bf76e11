"""BatchTopK keeps the discipline of BatchNorm, whatever it selects by."""

import functools
from typing import get_args

import chex
import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from vae_topk_jax import BatchTopK, batch_top_k_mask
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.rule import SelectionRule

B, D, K = 16, 6, 2
RULES = [rule for rule in get_args(SelectionRule) if rule != "slot"]
OF_AN_IMAGE = ("sample", "slot")  # rules that need no statistics
BY_STATISTICS = pytest.mark.parametrize("layer", ["dimension", "element"], indirect=True)


@pytest.fixture
def z() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (B, D)) * jnp.arange(1.0, D + 1)[None]


@pytest.fixture(params=[*RULES, pytest.param("slot", marks=pytest.mark.long)])
def layer(request: pytest.FixtureRequest) -> BatchTopK:
    return BatchTopK(k=K, importance="mean_abs_mu", decay=0.9, selection=request.param)


@pytest.fixture
def by_dimension() -> BatchTopK:
    return BatchTopK(k=K, importance="mean_abs_mu", decay=0.9, selection="dimension")


def init(layer: BatchTopK, z: jax.Array) -> dict:
    return layer.init(jax.random.key(1), z, use_running_average=False)


def train(layer: BatchTopK, variables: dict, *args, **options):
    return layer.apply(
        variables, *args, **options, use_running_average=False, mutable="batch_stats"
    )


def infer(layer: BatchTopK, variables: dict, *args, **options):
    return layer.apply(variables, *args, **options, use_running_average=True)


def trained(layer: BatchTopK, z: jax.Array) -> dict:
    return train(layer, init(layer, z), z)[1]


def active(z_BxD: jax.Array) -> set[int]:
    return set(np.flatnonzero(np.any(np.asarray(z_BxD) != 0, axis=0)).tolist())


def assert_passes(kept: jax.Array, k: int, rule: str) -> None:
    """Exactly k latents an image, in one of the three senses."""
    count_B = np.sum(np.asarray(kept) != 0, axis=1)
    assert count_B.sum() == k * len(kept)
    assert rule == "element" or (count_B == k).all()
    assert rule != "dimension" or len(active(kept)) == k
    if rule == "slot":
        assert (np.sum(np.asarray(kept).reshape(len(kept), k, -1) != 0, axis=2) == 1).all()


def test_initialising_updates_nothing(layer, z):
    stats = init(layer, z)["batch_stats"]
    assert not any(leaf.any() for leaf in stats.values())
    assert {name: (leaf.shape, leaf.dtype.name) for name, leaf in stats.items()} == {
        "importance": ((D,), "float32"),
        "frequency": ((D,), "float32"),
        "threshold": ((), "float32"),
        "count": ((), "int32"),
    }


def test_training_masks_by_the_batch_and_counts_it(layer, z):
    kept, updated = train(layer, init(layer, z), z)
    stats = updated["batch_stats"]
    importance = IMPORTANCES["mean_abs_mu"](z, z, z)
    assert_passes(kept, K, layer.selection)
    np.testing.assert_array_equal(kept[kept != 0], z[kept != 0])
    np.testing.assert_allclose(stats["importance"], importance)
    np.testing.assert_allclose(stats["frequency"], np.mean(kept != 0, axis=0))
    assert stats["count"] == 1
    if layer.selection == "dimension":
        np.testing.assert_array_equal(kept, z * batch_top_k_mask(importance, K)[None])
        np.testing.assert_allclose(stats["threshold"], np.sort(importance)[-K - 1 : -K + 1].mean())
    if layer.selection == "element":
        assert jnp.abs(z)[kept == 0].max() < stats["threshold"] < jnp.abs(z)[kept != 0].min()


def test_inference_uses_the_running_average_and_never_the_batch(by_dimension, z):
    variables = trained(by_dimension, z)
    kept = infer(by_dimension, variables, z[:, ::-1])
    assert active(kept) == active(train(by_dimension, variables, z)[0])


def test_an_output_does_not_depend_on_its_batch_mates(layer, z):
    variables = trained(layer, z)
    one_by_one = [infer(layer, variables, row[None]) for row in z]
    np.testing.assert_array_equal(jnp.concatenate(one_by_one), infer(layer, variables, z))


def test_nothing_updates_the_statistics_but_training_them(layer, z):
    variables = trained(layer, z)
    _, after = layer.apply(variables, z, use_running_average=True, mutable="batch_stats")
    chex.assert_trees_all_equal(after, variables)
    with pytest.raises(flax.errors.ModifyScopeVariableError):  # as nn.BatchNorm
        layer.apply(variables, 2 * z, use_running_average=False)


@BY_STATISTICS
def test_inference_before_the_first_batch_is_refused(layer, z):
    with pytest.raises(ValueError, match="seen no batch yet"):
        infer(layer, init(layer, z), z)


@BY_STATISTICS
def test_inference_before_the_first_batch_is_nan_where_it_cannot_be_refused(layer, z):
    assert np.isnan(jax.jit(functools.partial(infer, layer))(init(layer, z), z)).all()


def test_the_attribute_may_choose_instead_of_the_call(z):
    layer = BatchTopK(k=K, use_running_average=False)
    variables = layer.init(jax.random.key(1), z)
    assert layer.apply(variables, z, mutable="batch_stats")[0].shape == z.shape


@pytest.mark.parametrize(("attribute", "argument"), [(None, None), (True, False)])
def test_the_choice_is_made_once(z, attribute, argument):
    layer = BatchTopK(k=K, use_running_average=attribute)
    with pytest.raises(ValueError, match="use_running_average"):
        layer.init(jax.random.key(1), z, use_running_average=argument)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_batch_that_is_not_finite_leaves_the_statistics_alone(layer, z, value):
    variables = trained(layer, z)
    _, after = train(layer, variables, z.at[0, 0].set(value))
    chex.assert_trees_all_equal(after, variables)


def test_the_statistics_keep_moving_after_100_000_updates(layer, z):
    stats = trained(layer, z)["batch_stats"] | {"count": jnp.int32(100_000)}
    target = trained(layer, 1.001 * z)["batch_stats"]
    after, _ = jax.lax.scan(
        lambda variables, _: (train(layer, variables, 1.001 * z)[1], None),
        {"batch_stats": stats},
        length=100,
    )
    for name in ("importance", "threshold"):
        np.testing.assert_allclose(after["batch_stats"][name], target[name], rtol=1e-5)
        assert (after["batch_stats"][name] != stats[name]).all()


@pytest.mark.parametrize("leading", [(), (4, 4), (2, 2, 4)], ids=str)
def test_leading_axes_are_one_batch(layer, z, leading):
    z = z if leading else z[:1]
    folded = z.shape[:1]
    shape, valid = (*leading, D), jnp.arange(len(z)) % 4 < 3 if leading else jnp.ones(1, bool)
    options = {"logvar_BxD": 0.1 * z, "valid_B": valid, "method": "select"}
    variables = init(layer, z)
    chosen, after = train(layer, variables, z, z, **options)
    axes = {"logvar_BxD": 0.1 * z.reshape(shape), "valid_B": valid.reshape(leading)}
    reshaped = z.reshape(shape)
    chosen_of_axes, after_axes = train(layer, variables, reshaped, reshaped, **options | axes)
    assert chosen_of_axes.mask_BxD.shape == shape
    np.testing.assert_array_equal(chosen_of_axes.mask_BxD.reshape(*folded, D), chosen.mask_BxD)
    chex.assert_trees_all_equal(after_axes, after)
    kept = infer(layer, after, reshaped)
    np.testing.assert_array_equal(kept.reshape(*folded, D), infer(layer, after, z))
    scores = layer.scores(reshaped, reshaped, reshaped)
    assert scores.shape == shape


def test_padding_changes_nothing(layer, z):
    padded = jnp.concatenate([z, jnp.full((5, D), 1e3)])
    valid = jnp.arange(B + 5) < B
    kept, stats = train(layer, init(layer, z), z)
    kept_padded, stats_padded = train(layer, init(layer, z), padded, valid_B=valid)
    np.testing.assert_array_equal(kept_padded[:B], kept)
    chex.assert_trees_all_close(stats_padded, stats, rtol=1e-6)


def test_a_batch_split_over_a_mapped_axis_is_one_batch(layer, z):
    variables = init(layer, z)
    kept, whole = train(layer, variables, z)
    shard_layer = layer.clone(axis_name="devices")
    mapped = jax.vmap(
        lambda shard: train(shard_layer, variables, shard), axis_name="devices", out_axes=(0, None)
    )
    kept_split, split = mapped(z.reshape(4, B // 4, D))
    np.testing.assert_array_equal(kept_split.reshape(B, D), kept)
    chex.assert_trees_all_close(split, whole, rtol=1e-6)


def test_a_batch_split_by_sharding_is_one_batch(layer, z):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    variables = init(layer, z)
    step = jax.jit(functools.partial(train, layer))
    kept, stats = step(variables, z)
    sharded = jax.device_put(z, NamedSharding(mesh, PartitionSpec("data")))
    kept_sharded, stats_sharded = step(variables, sharded)
    np.testing.assert_array_equal(kept_sharded, kept)
    chex.assert_trees_all_close(stats_sharded, stats, rtol=1e-6)


def test_a_batch_split_by_shard_map_is_one_batch_ties_and_all(layer, z):
    z = jnp.round(z)
    variables = init(layer, z)
    kept, stats = train(layer, variables, z)
    split = jax.shard_map(
        functools.partial(train, layer.clone(axis_name="data"), variables),
        mesh=jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)),
        in_specs=PartitionSpec("data"),
        out_specs=(PartitionSpec("data"), PartitionSpec()),
    )
    kept_split, stats_split = jax.jit(split)(z)
    np.testing.assert_array_equal(kept_split, kept)
    chex.assert_trees_all_close(stats_split, stats, rtol=1e-6)


def test_by_element_fresh_images_have_k_active_latents_on_average():
    layer = BatchTopK(k=4, selection="element")
    scale_D = jnp.exp(jnp.linspace(-1.0, 1.0, 32))

    def draw(seed, size: int) -> jax.Array:
        return jax.random.normal(jax.random.key(seed), (size, 32)) * scale_D[None]

    variables, _ = jax.lax.scan(
        lambda variables, seed: (train(layer, variables, draw(seed, 64))[1], None),
        init(layer, draw(0, 64)),
        jnp.arange(200),
    )
    kept = infer(layer, variables, draw(1000, 20_000))
    np.testing.assert_allclose(np.sum(kept != 0, axis=1).mean(), 4, rtol=0.02)


def test_a_cap_keeps_the_largest_of_too_many_latents_above_the_threshold(z):
    layer = BatchTopK(k=K, selection="element")
    capped = BatchTopK(k=K, selection="element", cap=True)
    variables = train(layer, init(layer, z), z)[1]
    for scale in (1.0, 3.0):
        free, kept = (np.abs(infer(x, variables, scale * z)) for x in (layer, capped))
        largest = np.sort(free, axis=1)[:, -K, None]
        np.testing.assert_array_equal(kept, np.where(free >= largest, free, 0))
        assert (kept != 0).sum(1).max() <= K < (free != 0).sum(1).max()


def test_the_threshold_may_average_the_smallest_scores_kept_after_the_first_batches(z):
    layer = BatchTopK(k=K, selection="element", decay=0.6, calibration="lowest", calibrate_after=3)
    variables, expected = init(layer, z), 0.0
    for step in range(7):
        kept, variables = train(layer, variables, (1.0 + step) * z)
        lowest = np.abs(kept)[np.asarray(kept) != 0].min()
        seen = max(step - 3, step / 10)
        decay = min(0.6, seen / (seen + 1))
        expected = decay * expected + (1 - decay) * lowest
        threshold = variables["batch_stats"]["threshold"]
        np.testing.assert_allclose(threshold, expected, rtol=1e-5)


def test_gradients_reach_the_entries_that_pass_alone(layer, z):
    variables = init(layer, z)
    kept, pull_back = jax.vjp(lambda z: train(layer, variables, z)[0], z)
    cotangent = jax.random.normal(jax.random.key(2), z.shape)
    np.testing.assert_array_equal(kept, jnp.where(kept != 0, z, 0))
    passed = jnp.where(kept != 0, cotangent, 0)
    np.testing.assert_array_equal(pull_back(cotangent)[0], passed)


def test_masked_values_are_exact_zero_even_if_not_finite():
    z = jnp.array([[2.0, jnp.inf, 1.0]])
    layer = BatchTopK(
        k=1,
        selection="dimension",
        importance=lambda z, mu, logvar: jnp.arange(3.0, 0.0, -1.0),
    )
    assert train(layer, init(layer, z), z)[0].tolist() == [[2, 0, 0]]


def test_a_weight_is_what_a_unit_of_the_dimension_is_worth(layer, z):
    weight_D = jnp.array([9.0, 1.0, 4.0, 0.0, 1.0, 0.5])
    variables = init(layer, z)
    weighted = train(layer, variables, z, weight_D=weight_D, method="select")
    scaled = train(layer, variables, z * weight_D[None], method="select")
    chex.assert_trees_all_close(weighted, scaled, rtol=1e-6)


def test_agreement_is_the_overlap_of_the_batchs_choice_and_the_running_one(layer, z):
    def agreement(variables: dict, z: jax.Array) -> jax.Array:
        return train(layer, variables, z, method="select")[0].agreement

    variables, other = trained(layer, z), 2 * z[:, ::-1]
    chosen = train(layer, variables, other)[0] != 0
    running = infer(layer, variables, other) != 0
    overlap = np.sum(chosen & running) / np.sum(chosen | running)
    assert (overlap == 1) == (layer.selection in OF_AN_IMAGE)
    np.testing.assert_allclose(agreement(variables, other), overlap, rtol=1e-6)
    assert agreement(variables, z) == 1
    assert agreement(init(layer, z), z) == int(layer.selection in OF_AN_IMAGE)


@pytest.mark.parametrize("count", [1, 4, D])
@pytest.mark.parametrize("layer", ["dimension", "element", "sample"], indirect=True)
def test_count_takes_the_place_of_k_and_need_not_be_static(layer, z, count):
    variables = trained(layer, z)
    kept, after = jax.jit(functools.partial(train, layer))(variables, z, count=count)
    assert_passes(kept, count, layer.selection)
    np.testing.assert_allclose(after["batch_stats"]["frequency"].sum(), K, rtol=1e-6)
    kept = jax.jit(functools.partial(infer, layer))(variables, z, count=count)
    assert_passes(kept, K if layer.selection == "element" else count, layer.selection)


def test_a_custom_importance_needs_no_more_than_three_arguments(z):
    layer = BatchTopK(
        k=1, selection="dimension", importance=lambda z, mu, logvar: jnp.arange(D, 0.0, -1.0)
    )
    assert active(train(layer, init(layer, z), z)[0]) == {0}


def test_a_custom_score_ranks_entries(z):
    layer = BatchTopK(k=1, selection="sample", score=lambda z, mu, logvar: -jnp.abs(z))
    kept = train(layer, init(layer, z), z)[0]
    np.testing.assert_array_equal(np.abs(kept).max(axis=1), np.abs(z).min(axis=1))


def test_scores_that_are_given_rank_in_place_of_the_layers(layer, z):
    variables = init(layer, z)
    options = {"method": "select", "logvar_BxD": jnp.zeros_like(z)}
    given, _ = train(layer, variables, z, z, **options, score_BxD=jnp.abs(z[:, ::-1]))
    reverse, _ = train(layer, variables, z[:, ::-1], z, **options)
    chosen, _ = train(layer, variables, z[:, ::-1], z[:, ::-1], **options)
    expected = reverse if layer.selection == "dimension" else chosen
    np.testing.assert_array_equal(given.mask_BxD, expected.mask_BxD)


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
        ({"k": 4, "selection": "slot"}, "k must divide the 6 dimensions by slot, got 4"),
        ({"k": 1.5, "selection": "slot"}, "k must be an integer, got 1.5"),
        ({"k": K, "selection": "row"}, "selection must be one of .*'sample'.*, got 'row'"),
        ({"k": K, "calibration": "mean"}, "calibration must be one of .*'lowest'.*, got 'mean'"),
        ({"k": K, "cap": True, "selection": "sample"}, "cap must be False by sample"),
        ({"k": K, "score": "size"}, "score must be a callable or one of .*, got 'size'"),
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
        ((jnp.zeros(()),), {}, r"z must have shape \(\.\.\., D\), .* got shape \(\)"),
        ((jnp.zeros((2, 0)),), {}, r"no axis of it empty, got shape \(2, 0\)"),
        ((jnp.zeros((2, 3)), jnp.zeros((2, 4))), {}, "mu must have the shape of z"),
        ((jnp.zeros((2, 3)),) * 2 + (jnp.zeros(3),), {}, "logvar must have the shape of z"),
        ((jnp.zeros((2, 3)),), {"valid_B": jnp.ones(3)}, "valid must have shape"),
        ((jnp.zeros((2, 4, 3)),), {"valid_B": jnp.ones(2)}, r"valid must have shape \(2, 4\)"),
        ((jnp.zeros((2, 3)),), {"weight_D": jnp.ones(2)}, "weight must have the shape of one"),
        ((jnp.zeros((2, 3)),), {"score_BxD": jnp.ones(3)}, "score must have the shape of z"),
    ],
)
def test_bad_arrays_are_named(arguments, options, message):
    layer = BatchTopK(k=1, use_running_average=False)
    with pytest.raises(ValueError, match=message):
        layer.init(jax.random.key(0), *arguments, **options)


def test_by_slot_a_count_is_refused(z):
    layer = BatchTopK(k=K, selection="slot")
    with pytest.raises(ValueError, match="count must be None by slot"):
        train(layer, init(layer, z), z, count=3)
