"""Shift and scale of a model's inputs, measured once on the training split.

    none     x
    mean     x - E x
    norm     x / sqrt(E |x|^2), so that the mean squared norm is 1
    feature  (x - E x) / std x, for each value of an example
    channel  the same for each channel, over examples, rows and columns

A model sees x' = (x - shift) / scale and gives x = x' scale + shift; its losses are those of x'.
So a log-likelihood of x is that of x' minus the sum of log scale over the values.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.data.batches import as_float

Rule = Literal["none", "mean", "norm", "feature", "channel"]
_CHUNK = 1 << 22  # values in float64 at once


class Moments(NamedTuple):
    """Of each value over the examples of a split, in float64.

    Attributes:
        mean_HxWxC: E x.
        variance_HxWxC: E (x - E x)^2.
    """

    mean_HxWxC: np.ndarray
    variance_HxWxC: np.ndarray


def moments(images_NxHxWxC: np.ndarray | Array) -> Moments:
    """The moments of a training split, read once and in parts, so that it may be a memory map.

    Args:
        images_NxHxWxC: uint8, which counts in [0, 1], or floating.

    Raises:
        ValueError: no example, or values that are not finite.

    Examples:
        >>> moments(np.array([1.0, 3.0], np.float32).reshape(2, 1, 1, 1)).variance_HxWxC.item()
        1.0

    References:
        Chan, Golub & LeVeque, "Algorithms for Computing the Sample Variance", 1983 (how the parts
        are put together).
    """
    if not len(images_NxHxWxC):
        raise ValueError("images must have at least one example to be standardised, got none")
    shape = images_NxHxWxC.shape[1:]
    mean_HxWxC, squares_HxWxC = np.zeros(shape), np.zeros(shape)
    rows = max(1, _CHUNK // max(1, int(np.prod(shape))))
    for seen in range(0, len(images_NxHxWxC), rows):
        part = as_float(np.asarray(images_NxHxWxC[seen : seen + rows])).astype(np.float64)
        if not np.isfinite(part).all():
            raise ValueError("images must be finite to be standardised, got NaN or infinite values")
        part_mean_HxWxC = part.mean(axis=0)
        step_HxWxC = part_mean_HxWxC - mean_HxWxC
        share = len(part) / (seen + len(part))
        mean_HxWxC += step_HxWxC * share
        squares_HxWxC += np.square(part - part_mean_HxWxC).sum(axis=0)
        squares_HxWxC += np.square(step_HxWxC) * seen * share
    return Moments(mean_HxWxC, squares_HxWxC / len(images_NxHxWxC))


def shift_and_scale(images_NxHxWxC: np.ndarray | Array, rule: Rule) -> dict[str, np.ndarray]:
    """The variables of `Standardization` for these training images.

    A value that does not vary, or a norm of 0, is scaled by 1.

    Args:
        images_NxHxWxC: as in `moments`.
        rule: which shift and scale; see above.

    Returns:
        {"shift", "scale"}, float32 (H, W, C), scale positive.

    Raises:
        ValueError: as `moments`.

    Examples:
        >>> images = np.array([[3.0, 4.0], [0.0, 5.0]], np.float32).reshape(2, 1, 1, 2)
        >>> found = shift_and_scale(images, "norm")
        >>> found["scale"].ravel().tolist(), found["shift"].ravel().tolist()
        ([5.0, 5.0], [0.0, 0.0])
    """
    mean, variance = moments(images_NxHxWxC)
    if rule == "channel":
        of_channel = mean.mean(axis=(0, 1))
        variance = (variance + np.square(mean - of_channel)).mean(axis=(0, 1))
        mean = of_channel
    shift = np.zeros(()) if rule in ("none", "norm") else mean
    scale = np.ones(())
    if rule == "norm":
        scale = np.sqrt((variance + np.square(mean)).sum())
    elif rule in ("feature", "channel"):
        scale = np.sqrt(variance)
    scale = np.where(scale > np.finfo(np.float32).tiny, scale, 1.0)
    shape = images_NxHxWxC.shape[1:]
    return {
        "shift": np.broadcast_to(shift, shape).astype(np.float32),
        "scale": np.broadcast_to(scale, shape).astype(np.float32),
    }


class Standardization(nn.Module):
    """x' = (x - shift) / scale, and back; shift and scale are kept in `batch_stats` as they are.

    Attributes:
        image_shape: (H, W, C).

    Examples:
        >>> import jax
        >>> layer, x = Standardization((1, 1, 2)), jnp.array([6.0, 8.0]).reshape(1, 1, 1, 2)
        >>> stats = {"shift": jnp.full((1, 1, 2), 2.0), "scale": jnp.full((1, 1, 2), 4.0)}
        >>> y = layer.apply({"batch_stats": stats}, x)
        >>> y.ravel().tolist(), layer.apply({"batch_stats": stats}, y, method="undo").tolist()
        ([1.0, 1.5], [[[[6.0, 8.0]]]])
    """

    image_shape: Sequence[int]

    def setup(self) -> None:
        shape = tuple(self.image_shape)
        self.shift = self.variable("batch_stats", "shift", jnp.zeros, shape, jnp.float32)
        self.scale = self.variable("batch_stats", "scale", jnp.ones, shape, jnp.float32)

    def __call__(self, x_BxHxWxC: Array) -> Array:
        return (x_BxHxWxC - self.shift.value[None]) / self.scale.value[None]

    def undo(self, x_BxHxWxC: Array) -> Array:
        """The inverse."""
        return x_BxHxWxC * self.scale.value[None] + self.shift.value[None]
