"""Where arrays lie on many devices: the mesh, and how states and batches are laid out on it.

The batch is split along the mesh's axis "data"; parameters are replicated on every device, or, with
an axis "model" of more than one, split along it wherever they have a latent dimension. Programs
stay the ones of a single device: under `jax.jit` an array means the same however it is split, so a
mean over the batch, a threshold or a count of dead latents is that of the whole batch everywhere,
and XLA adds what has to be exchanged.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

DATA, MODEL = "data", "model"


def make_mesh(model: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices as a grid: rows along "data", columns along "model".

    Args:
        model: how many devices share one copy of the latent matrices; 1: each has its own.
        devices: all devices of all processes where None.

    Raises:
        ValueError: `model` does not divide the number of devices.

    Examples:
        >>> dict(make_mesh(devices=jax.devices()[:1]).shape)
        {'data': 1, 'model': 1}
    """
    devices = jax.devices() if devices is None else devices
    if model < 1 or len(devices) % model:
        raise ValueError(f"model must divide the {len(devices)} devices, got {model}")
    shape = (len(devices) // model, model)
    return jax.make_mesh(
        shape, (DATA, MODEL), axis_types=(AxisType.Auto, AxisType.Auto), devices=devices
    )


def check_mesh(mesh: Mesh, batch_size: int, latent_dim: int) -> None:
    """Whether batches and latents can be split evenly over the mesh.

    Raises:
        ValueError: its axes are not "data" and "model", or one does not divide what it splits.
    """
    if mesh.axis_names != (DATA, MODEL):
        raise ValueError(f"mesh must have the axes {(DATA, MODEL)}, got {mesh.axis_names}")
    for name, size, axis in (("batch_size", batch_size, DATA), ("latent_dim", latent_dim, MODEL)):
        if size % (parts := mesh.shape[axis]):
            raise ValueError(
                f"{name} must be a multiple of the {parts} devices along {axis!r}, got {size}"
            )


def replicated(mesh: Mesh) -> NamedSharding:
    """The complete array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first axis split along "data"."""
    return NamedSharding(mesh, PartitionSpec(DATA))


def state_sharding(mesh: Mesh, state: Any, latent_dim: int) -> Any:
    """For every array of a state, its last axis of size `latent_dim` split along "model".

    Arrays without such an axis are replicated on every device, and so is everything where "model"
    has one device. Where a hidden layer happens to be as wide as the latent it is split as well,
    which costs time and changes nothing else.

    Args:
        mesh: from `make_mesh`.
        state: a tree of arrays or of their shapes.
        latent_dim: D.

    Examples:
        >>> mesh = make_mesh(devices=jax.devices()[:1])
        >>> state = {"W_enc": jax.ShapeDtypeStruct((16, 64), float)}
        >>> tuple(state_sharding(mesh, state, latent_dim=64)["W_enc"].spec)
        (None, 'model')
    """

    def spec(shape: Sequence[int]) -> PartitionSpec:
        axes = [axis for axis, size in enumerate(shape) if size == latent_dim]
        return PartitionSpec(*[None] * axes[-1], MODEL) if axes else PartitionSpec()

    return jax.tree.map(lambda leaf: NamedSharding(mesh, spec(leaf.shape)), state)


def put(tree: Any, shardings: Any) -> Any:
    """Host arrays, the same in every process, laid out over the devices of all of them.

    Args:
        tree: arrays; random keys among them.
        shardings: one for the whole tree, or a tree like it.
    """

    def place(x: Any, sharding: NamedSharding) -> jax.Array:
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(x), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    if isinstance(shardings, NamedSharding):
        return jax.tree.map(lambda x: place(x, shardings), tree)
    return jax.tree.map(place, tree, shardings)


def to_host(tree: Any) -> Any:
    """A copy of every array in this process's memory, put together from all processes.

    All processes must call it, since parts that lie elsewhere have to be sent.
    """

    def fetch(x: Any) -> np.ndarray:
        is_here = not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
        return np.array(x if is_here else multihost_utils.process_allgather(x, tiled=True))

    return jax.tree.map(fetch, tree)
