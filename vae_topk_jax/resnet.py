"""Residual convolutions with group norm: a body for images of any size."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.convolution import Conv, ConvTranspose, SameConv

COARSEST = 4
_GROUP = 16


def level_channels(widths: Sequence[int], image_shape: Sequence[int]) -> tuple[int, ...]:
    """The channels of each level, from fine to coarse: those of `widths`, the last for the rest.

    A level halves both sides, rounded up. There are as many as bring the longer side to 4 pixels
    or fewer, and one at least.

    Args:
        widths: channels.
        image_shape: (H, W, C).

    Raises:
        ValueError: more widths than levels.

    Examples:
        >>> level_channels((32, 64), (128, 100, 3))
        (32, 64, 64, 64, 64)
        >>> level_channels((32, 64), (8, 8, 1))
        Traceback (most recent call last):
        ValueError: widths must have at most 1 item with body 'resnet' for images of 8 x 8, got 2
    """
    height, width = image_shape[:2]
    levels = max(1, (-(-max(height, width) // COARSEST) - 1).bit_length())
    if len(widths) > levels:
        items = "item" if levels == 1 else "items"
        raise ValueError(
            f"widths must have at most {levels} {items} with body 'resnet' for images of "
            f"{height} x {width}, got {len(widths)}"
        )
    return (*widths, *[widths[-1]] * (levels - len(widths)))


class ResNetEncoder(nn.Module):
    """Levels of a convolution of stride 2 and a residual block: x_BxHxWxC -> h_BxF.

    See `level_channels` for how many levels there are.

    Examples:
        >>> import jax
        >>> encoder, x = ResNetEncoder(widths=(8, 16)), jnp.zeros((2, 17, 31, 3))
        >>> h, _ = jax.eval_shape(encoder.init_with_output, jax.random.key(0), x)
        >>> h.shape  # 3 x 4 pixels of 16 channels
        (2, 192)

    References:
        He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016. Wu & He, "Group
        Normalization", ECCV 2018.
    """

    widths: Sequence[int] = (32, 64)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        h_BxHxWxC = x_BxHxWxC.astype(self.dtype)
        for channels in level_channels(self.widths, x_BxHxWxC.shape[1:]):
            h_BxHxWxC = Conv(channels, self.dtype)(h_BxHxWxC)
            h_BxHxWxC = ResidualBlock(self.dtype)(h_BxHxWxC)
        h_BxHxWxC = NormalizedSwish(self.dtype)(h_BxHxWxC)
        return h_BxHxWxC.reshape(h_BxHxWxC.shape[0], -1)


class ResNetDecoder(nn.Module):
    """The mirror image of `ResNetEncoder`, cropped to its sizes at each level: z_BxD -> float32
    output_BxHxWxC.

    Examples:
        >>> import jax
        >>> decoder, z = ResNetDecoder(image_shape=(17, 31, 3), widths=(8, 16)), jnp.zeros((2, 5))
        >>> output, _ = jax.eval_shape(decoder.init_with_output, jax.random.key(0), z)
        >>> output.shape
        (2, 17, 31, 3)
    """

    image_shape: Sequence[int]
    widths: Sequence[int] = (32, 64)
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, z_BxD: Array) -> Array:
        height, width, image_channels = self.image_shape
        channels = level_channels(self.widths, self.image_shape)
        sides = [(-(-height >> level), -(-width >> level)) for level in range(len(channels))]
        grid = (*((side + 1) // 2 for side in sides[-1]), channels[-1])
        h_BxF = nn.Dense(math.prod(grid), dtype=self.dtype)(z_BxD.astype(self.dtype))
        h_BxHxWxC = h_BxF.reshape(-1, *grid)
        finer = (*channels[-2::-1], image_channels)
        for (rows, columns), features in zip(reversed(sides), finer, strict=True):
            h_BxHxWxC = ResidualBlock(self.dtype)(h_BxHxWxC)
            h_BxHxWxC = NormalizedSwish(self.dtype)(h_BxHxWxC)
            h_BxHxWxC = ConvTranspose(features, self.dtype)(h_BxHxWxC)[:, :rows, :columns]
        return h_BxHxWxC.astype(jnp.float32)


class ResidualBlock(nn.Module):
    """Two convolutions of 3x3 pixels, each after group norm and swish, added to their input."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        h_BxHxWxC = x_BxHxWxC
        for _ in range(2):
            h_BxHxWxC = NormalizedSwish(self.dtype)(h_BxHxWxC)
            h_BxHxWxC = SameConv(x_BxHxWxC.shape[-1], self.dtype)(h_BxHxWxC)
        return x_BxHxWxC + h_BxHxWxC


class NormalizedSwish(nn.Module):
    """Group norm in float32, of 16 channels at a time where that divides them and of all together
    elsewhere, and swish."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        channels = x_BxHxWxC.shape[-1]
        size = channels if channels % _GROUP else _GROUP
        norm = nn.GroupNorm(num_groups=None, group_size=size, use_fast_variance=False)
        return nn.swish(norm(x_BxHxWxC.astype(jnp.float32))).astype(self.dtype)
