"""Encoder and decoder bodies: everything between the pixels and the latent."""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

Dtype = Any


class MLPEncoder(nn.Module):
    """Dense layers with ReLU: images x_BxHxWxC -> hidden h_BxF."""

    widths: Sequence[int] = (512, 256)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        h_BxF = x_BxHxWxC.reshape(x_BxHxWxC.shape[0], -1).astype(self.dtype)
        for width in self.widths:
            h_BxF = nn.relu(nn.Dense(width, dtype=self.dtype)(h_BxF))
        return h_BxF


class MLPDecoder(nn.Module):
    """The mirror image of `MLPEncoder`: z_BxD -> float32 logits_BxHxWxC."""

    image_shape: Sequence[int]
    widths: Sequence[int] = (512, 256)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, z_BxD: Array) -> Array:
        h_BxF = z_BxD.astype(self.dtype)
        for width in reversed(self.widths):
            h_BxF = nn.relu(nn.Dense(width, dtype=self.dtype)(h_BxF))
        logits_BxP = nn.Dense(math.prod(self.image_shape), dtype=self.dtype)(h_BxF)
        return logits_BxP.reshape(-1, *self.image_shape).astype(jnp.float32)


class ConvEncoder(nn.Module):
    """Stride-2 convolutions with ReLU, one a width: x_BxHxWxC -> h_BxF."""

    widths: Sequence[int] = (32, 64)
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, x_BxHxWxC: Array) -> Array:
        h_BxHxWxC = x_BxHxWxC.astype(self.dtype)
        for width in self.widths:
            h_BxHxWxC = nn.relu(
                nn.Conv(width, kernel_size=(4, 4), strides=(2, 2), dtype=self.dtype)(h_BxHxWxC)
            )
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
            h_BxHxWxC = nn.relu(
                nn.ConvTranspose(features, (4, 4), strides=(2, 2), dtype=self.dtype)(h_BxHxWxC)
            )
        logits_BxHxWxC = nn.ConvTranspose(channels, (4, 4), strides=(2, 2), dtype=self.dtype)(
            h_BxHxWxC
        )
        return logits_BxHxWxC[:, :height, :width].astype(jnp.float32)


BODIES = {"mlp": (MLPEncoder, MLPDecoder), "conv": (ConvEncoder, ConvDecoder)}
