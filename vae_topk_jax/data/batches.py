"""The images of a step, as a function of (key, step)."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ArrayT = TypeVar("ArrayT", bound=Any)


@runtime_checkable
class Endless(Protocol):
    """What makes a batch for every step on the device: a pytree, as `synthetic.GroundTruth` is."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        ...

    def batch(self, key: Array, step: Array | int, size: int) -> Array:
        """x_BxHxWxC, float32, a function of the key and of the step alone."""
        ...


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Labelled:
    """Images and the label of each.

    Attributes:
        images: (N, H, W, C), of any kind that is indexed by numbers.
        label_N: int32; or attributes (N, A), float32.

    Examples:
        >>> Labelled(np.zeros((3, 1, 1, 1)), np.array([7, 8, 9]))[np.array([2, 0])].label_N.tolist()
        [9, 7]
    """

    images: Any
    label_N: Any

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> "Labelled":
        return Labelled(self.images[index], self.label_N[index])

    @property
    def nbytes(self) -> int:
        """Of the images."""
        return self.images.nbytes


class Batch(NamedTuple):
    """The images of a step.

    Attributes:
        x_BxHxWxC: float32.
        index_B: their numbers.
        label_B: their labels; None where they have none.
    """

    x_BxHxWxC: Array
    index_B: Array
    label_B: Array | None = None


def epoch_batches(
    images: Array | Labelled | Endless,
    key: Array,
    epoch: Array | int,
    num_examples: int,
    batch_size: int,
) -> Callable[[Array | int], Batch]:
    """step in the epoch -> its batch: images in the order of the epoch, or made for the step.

    Arguments as in `batch_indices`.

    Examples:
        >>> images = jnp.arange(4.0).reshape(4, 1, 1, 1)
        >>> batch = epoch_batches(images, jax.random.key(0), 0, num_examples=4, batch_size=2)(1)
        >>> batch.x_BxHxWxC.ravel().tolist() == batch.index_B.tolist()
        True
    """
    if isinstance(images, Endless):
        numbers_B = jnp.arange(batch_size, dtype=jnp.int32)

        def made(step_in_epoch: Array | int) -> Batch:
            step = epoch * (num_examples // batch_size) + step_in_epoch
            return Batch(images.batch(key, step, batch_size), step * batch_size + numbers_B)

        return made
    return batches_in_order(images, epoch_order(key, epoch, num_examples), batch_size)


def batches_in_order(
    images: Array | Labelled, order_N: Array, batch_size: int
) -> Callable[[Array | int], Batch]:
    """step -> its batch, of images in this order.

    Examples:
        >>> batches = batches_in_order(jnp.arange(4.0), jnp.array([3, 1, 0, 2]), batch_size=2)
        >>> batches(1).x_BxHxWxC.tolist()
        [0.0, 2.0]
    """

    def taken(step: Array | int) -> Batch:
        index_B = order_slice(order_N, step, batch_size)
        if isinstance(images, Labelled):
            return Batch(take_batch(images.images, index_B), index_B, images.label_N[index_B])
        return Batch(take_batch(images, index_B), index_B)

    return taken


def first_images(images: np.ndarray | Array | Endless, key: Array, size: int) -> Array:
    """The first so many images as `take_batch` gives them, or so many that are made.

    Examples:
        >>> first_images(np.ones((3, 1, 1, 1), np.float32), jax.random.key(0), 2).shape
        (2, 1, 1, 1)
    """
    if isinstance(images, Endless):
        return images.batch(key, 0, size)
    return as_float(jnp.asarray(images[:size]))


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
