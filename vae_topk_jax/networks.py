"""Encoder and decoder bodies: everything between the pixels and the latent."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.convolution import Conv, ConvTranspose
from vae_topk_jax.resnet import ResNetDecoder, ResNetEncoder

Dtype = Any


class MLPEncoder(nn.Module):
    """Dense layers (see `_dense_layers`): images x_BxHxWxC -> hidden h_BxF."""

    widths: Sequence[int] = (512, 256)
    dtype: Dtype = jnp.float32
    residual: bool = False

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        x_BxF = x_BxHxWxC.reshape(x_BxHxWxC.shape[0], -1).astype(self.dtype)
        return _dense_layers(x_BxF, self.widths, self.dtype, self.residual)


class MLPDecoder(nn.Module):
    """The mirror image of `MLPEncoder`: z_BxD -> float32 logits_BxHxWxC."""

    image_shape: Sequence[int]
    widths: Sequence[int] = (512, 256)
    dtype: Dtype = jnp.float32
    residual: bool = False

    @nn.compact
    def __call__(self, z_BxD: Array) -> Array:
        z_BxD = z_BxD.astype(self.dtype)
        h_BxF = _dense_layers(z_BxD, self.widths[::-1], self.dtype, self.residual)
        logits_BxP = nn.Dense(math.prod(self.image_shape), dtype=self.dtype)(h_BxF)
        return logits_BxP.reshape(-1, *self.image_shape).astype(jnp.float32)


def _dense_layers(h_BxF: Array, widths: Sequence[int], dtype: Dtype, residual: bool) -> Array:
    """Dense layers with ReLU; or with LayerNorm and GELU, each added to its input where the widths
    agree. They belong to the module that calls this."""
    for width in widths:
        layer_BxF = nn.Dense(width, dtype=dtype)(h_BxF)
        if not residual:
            h_BxF = nn.relu(layer_BxF)
            continue
        layer_BxF = nn.gelu(nn.LayerNorm(dtype=dtype)(layer_BxF))
        h_BxF = h_BxF + layer_BxF if h_BxF.shape == layer_BxF.shape else layer_BxF
    return h_BxF


class ConvEncoder(nn.Module):
    """Stride-2 convolutions with ReLU, one per width: x_BxHxWxC -> h_BxF."""

    widths: Sequence[int] = (32, 64)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        h_BxHxWxC = x_BxHxWxC.astype(self.dtype)
        for width in self.widths:
            h_BxHxWxC = nn.relu(Conv(width, self.dtype)(h_BxHxWxC))
        return h_BxHxWxC.reshape(h_BxHxWxC.shape[0], -1)


class ConvDecoder(nn.Module):
    """The mirror image of `ConvEncoder`, cropped to the image: z_BxD -> float32 logits_BxHxWxC."""

    image_shape: Sequence[int]
    widths: Sequence[int] = (32, 64)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z_BxD: Array) -> Array:
        height, width, channels = self.image_shape
        scale = 2 ** len(self.widths)
        grid = (-(-height // scale), -(-width // scale), self.widths[-1])
        h_BxF = nn.relu(nn.Dense(math.prod(grid), dtype=self.dtype)(z_BxD.astype(self.dtype)))
        h_BxHxWxC = h_BxF.reshape(-1, *grid)
        for features in reversed(self.widths[:-1]):
            h_BxHxWxC = nn.relu(ConvTranspose(features, self.dtype)(h_BxHxWxC))
        logits_BxHxWxC = ConvTranspose(channels, self.dtype)(h_BxHxWxC)
        return logits_BxHxWxC[:, :height, :width].astype(jnp.float32)


BODIES: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module]]] = {
    "mlp": (MLPEncoder, MLPDecoder),
    "residual": (
        functools.partial(MLPEncoder, residual=True),
        functools.partial(MLPDecoder, residual=True),
    ),
    "conv": (ConvEncoder, ConvDecoder),
    "resnet": (ResNetEncoder, ResNetDecoder),
}
