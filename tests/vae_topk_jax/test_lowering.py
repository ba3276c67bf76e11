"""Which function a program runs, by the devices that it is for."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from vae_topk_jax.lowering import unless_split

ROWS = PartitionSpec("data")


def add(number, axis_name=None):
    return lambda x: x + number


def test_what_a_compiler_splits_is_told_from_what_is_whole_or_split_by_hand():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x = np.zeros(2, np.float32)
    split_x = jax.device_put(x, NamedSharding(mesh, ROWS))
    choose = unless_split(add(1.0), add(2.0), None)
    assert jax.jit(choose)(x).tolist() == [1.0, 1.0]
    assert jax.jit(choose)(split_x).tolist() == [2.0, 2.0]
    assert jax.jit(jax.vmap(choose))(x).tolist() == [2.0, 2.0]
    with jax.disable_jit():
        assert choose(jnp.asarray(x)).tolist() == [2.0, 2.0]

    def by_hand(x, axis_name):
        return unless_split(add(1.0), add(2.0), axis_name)(x)

    for axis_name in (None, "data"):
        function = jax.shard_map(
            lambda x, axis_name=axis_name: by_hand(x, axis_name),
            mesh=mesh,
            in_specs=ROWS,
            out_specs=ROWS,
        )
        assert jax.jit(function)(x).tolist() == [1.0, 1.0]
    mapped = jax.vmap(lambda x: by_hand(x, "data"), axis_name="data")
    assert mapped(x).tolist() == [2.0, 2.0]
