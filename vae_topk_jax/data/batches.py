"""The images of a step, as a function of (key, step)."""

from typing import Any, TypeVar

import jax
import numpy as np
from jax import Array

ArrayT = TypeVar("ArrayT", bound=Any)


def epoch_order(key: Array, epoch: Array | int, num_examples: int) -> Array:
    """The order in which pass number `epoch` visits the examples.

    Examples:
        >>> sorted(epoch_order(jax.random.key(0), 3, 4).tolist())
        [0, 1, 2, 3]
    """
    return jax.random.permutation(jax.random.fold_in(key, epoch), num_examples)


def order_slice(order_N: Array, step_in_epoch: Array | int, batch_size: int) -> Array:
    """The indices_B of one step out of its epoch's order."""
    return jax.lax.dynamic_slice_in_dim(order_N, step_in_epoch * batch_size, batch_size)


def batch_indices(key: Array, step: int, num_examples: int, batch_size: int) -> Array:
    """The indices_B of training step number `step`, counted from 0 over all epochs.

    Args:
        key: typed key, one per run.
        step: the training step.
        num_examples: N; an epoch has N // batch_size steps and leaves the rest of its order out.
        batch_size: B.

    Examples:
        >>> batch_indices(jax.random.key(0), step=5, num_examples=10, batch_size=4).shape
        (4,)
    """
    epoch, step_in_epoch = divmod(step, num_examples // batch_size)
    return order_slice(epoch_order(key, epoch, num_examples), step_in_epoch, batch_size)


def take_batch(images_NxHxWxC: Array, index_B: Array) -> Array:
    """The images of these indices as float32: uint8 ones in [0, 1], float ones as they are.

    Examples:
        >>> images, index = np.array([[0], [255]], np.uint8), np.array([1, 1])
        >>> take_batch(jax.numpy.asarray(images), index).tolist()
        [[1.0], [1.0]]
    """
    return as_float(images_NxHxWxC[index_B])


def as_float(images: ArrayT) -> ArrayT:
    """float32: uint8 images in [0, 1], float ones as they are; of NumPy or of JAX, as given.

    Examples:
        >>> as_float(np.array([0, 255], np.uint8)).tolist()
        [0.0, 1.0]
    """
    as_float32 = images.astype(np.float32)
    return as_float32 / 255.0 if images.dtype == np.uint8 else as_float32
