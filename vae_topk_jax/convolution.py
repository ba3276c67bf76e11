"""Convolutions and transposed ones, with gradients that are fast on a CPU."""

from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

Convolution = Callable[[Array, Array], Array]


def _with_cpu_gradient(backward: Callable[..., Any]) -> Callable[[Convolution], Convolution]:
    """Gives a convolution the gradient `backward`, ((x, kernel), dy) -> (dx, dkernel), on a CPU.

    It is JAX's own with the channels last, the one layout in which XLA is quick inside a loop, and
    without the zeros between the pixels of a transposed convolution, on which it is slow anywhere.
    """

    def decorate(convolve: Convolution) -> Convolution:
        on_cpu = jax.custom_vjp(convolve)
        on_cpu.defvjp(lambda x, kernel: (convolve(x, kernel), (x, kernel)), backward)
        return lambda x, kernel: jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=convolve)

    return decorate


def _halve_backward(inputs: tuple[Array, Array], dy_BxhxwxO: Array) -> tuple[Array, Array]:
    x_BxHxWxI, kernel_4x4xIxO = inputs
    dkernel_4x4xIxO = _correlate(x_BxHxWxI, dy_BxhxwxO, stride=2)
    return _double(dy_BxhxwxO, _adjoint(kernel_4x4xIxO)), dkernel_4x4xIxO


def _double_backward(inputs: tuple[Array, Array], dy_BxHxWxO: Array) -> tuple[Array, Array]:
    x_BxhxwxI, kernel_4x4xIxO = inputs
    dkernel_4x4xOxI = _correlate(dy_BxHxWxO, x_BxhxwxI, stride=2)
    return _halve(dy_BxHxWxO, _adjoint(kernel_4x4xIxO)), _adjoint(dkernel_4x4xOxI)


def _keep_backward(inputs: tuple[Array, Array], dy_BxHxWxO: Array) -> tuple[Array, Array]:
    x_BxHxWxI, kernel_3x3xIxO = inputs
    dkernel_3x3xIxO = _correlate(x_BxHxWxI, dy_BxHxWxO, stride=1)
    return _keep(dy_BxHxWxO, _adjoint(kernel_3x3xIxO)), dkernel_3x3xIxO


@_with_cpu_gradient(_halve_backward)
def _halve(x_BxHxWxI: Array, kernel_4x4xIxO: Array) -> Array:
    """Convolution of stride 2 over even sides H = 2h and W = 2w: y_BxhxwxO."""
    return _convolve(x_BxHxWxI, kernel_4x4xIxO, margin=1, stride=2)


@_with_cpu_gradient(_double_backward)
def _double(x_BxhxwxI: Array, kernel_4x4xIxO: Array) -> Array:
    """Transposed convolution of stride 2 to sides H = 2h and W = 2w: y_BxHxWxO."""
    return _convolve(x_BxhxwxI, kernel_4x4xIxO, margin=2, spread_x=2)


@_with_cpu_gradient(_keep_backward)
def _keep(x_BxHxWxI: Array, kernel_3x3xIxO: Array) -> Array:
    """Convolution of stride 1, with a margin of one zero: y_BxHxWxO."""
    return _convolve(x_BxHxWxI, kernel_3x3xIxO, margin=1)


def _correlate(x_BxHxWxI: Array, y_BxhxwxO: Array, stride: int) -> Array:
    """The gradient by the kernel, NxNxIxO, of sum(y * f(x, kernel)), where f is `_halve` for a
    stride of 2 and `_keep` for one of 1."""
    x_IxHxWxB, y_hxwxBxO = x_BxHxWxI.transpose(3, 1, 2, 0), y_BxhxwxO.transpose(1, 2, 0, 3)
    return _convolve(x_IxHxWxB, y_hxwxBxO, margin=1, spread_kernel=stride).transpose(1, 2, 0, 3)


def _adjoint(kernel_NxNxIxO: Array) -> Array:
    """The kernel_NxNxOxI with which `_double` transposes what `_halve` does with this one, and
    `_keep` what it does itself."""
    return kernel_NxNxIxO[::-1, ::-1].swapaxes(2, 3)


def _convolve(
    x_BxHxWxI: Array,
    kernel_NxMxIxO: Array,
    margin: int,
    stride: int = 1,
    spread_x: int = 1,
    spread_kernel: int = 1,
) -> Array:
    """`jax.lax.conv_general_dilated` with the channels last and both directions alike.

    Args:
        margin: zeros around x.
        stride: pixels of x from one value to the next.
        spread_x, spread_kernel: pixels from one entry to the next, with zeros between.
    """
    return jax.lax.conv_general_dilated(
        x_BxHxWxI,
        kernel_NxMxIxO,
        window_strides=(stride, stride),
        padding=((margin, margin), (margin, margin)),
        lhs_dilation=(spread_x, spread_x),
        rhs_dilation=(spread_kernel, spread_kernel),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


class _Layer(nn.Module):
    """A kernel and a bias, named and initialised as those of `nn.Conv`."""

    side: ClassVar[int] = 4

    features: int
    dtype: Any = jnp.float32

    def convolve(self, x_BxHxWxI: Array, kernel_NxNxIxO: Array) -> Array:
        raise NotImplementedError

    @nn.compact
    def __call__(self, x_BxHxWxI: Array) -> Array:
        shape = (self.side, self.side, x_BxHxWxI.shape[-1], self.features)
        kernel_NxNxIxO = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias_O = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        y_BxHxWxO = self.convolve(x_BxHxWxI, kernel_NxNxIxO.astype(self.dtype))
        return y_BxHxWxO + bias_O.astype(self.dtype).reshape(1, 1, 1, -1)


class Conv(_Layer):
    """`nn.Conv` of 4x4 pixels and stride 2: x_BxHxWxI -> y_BxhxwxO with the sides halved, rounded
    up."""

    def convolve(self, x_BxHxWxI: Array, kernel_NxNxIxO: Array) -> Array:
        height, width = x_BxHxWxI.shape[1:3]
        even_BxHxWxI = jnp.pad(x_BxHxWxI, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        return _halve(even_BxHxWxI, kernel_NxNxIxO)


class ConvTranspose(_Layer):
    """`nn.ConvTranspose` of 4x4 pixels and stride 2: x_BxhxwxI -> y_BxHxWxO with the sides
    doubled."""

    def convolve(self, x_BxhxwxI: Array, kernel_NxNxIxO: Array) -> Array:
        return _double(x_BxhxwxI, kernel_NxNxIxO)


class SameConv(_Layer):
    """`nn.Conv` of 3x3 pixels and stride 1: x_BxHxWxI -> y_BxHxWxO."""

    side: ClassVar[int] = 3

    def convolve(self, x_BxHxWxI: Array, kernel_NxNxIxO: Array) -> Array:
        return _keep(x_BxHxWxI, kernel_NxNxIxO)
