"""A flow from noise to sparse codes, trained by flow matching."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior

STEPS = 50  # of the solver
_FREQUENCIES = 32  # of the embedding of time
_HIGHEST = 100.0
_LEAST_VARIANCE = 1e-4


class Gaussian(NamedTuple):
    """The principal axes of the examples: where a flow would be linear, were they Gaussian.

    Attributes:
        mean_R: their mean.
        axes_RxR: eigenvectors of their covariance, in columns.
        variance_R: eigenvalues, 1e-4 at least.
    """

    mean_R: Array
    axes_RxR: Array
    variance_R: Array

    @classmethod
    def of(cls, x_NxR: np.ndarray) -> Self:
        """That of some examples."""
        x_NxR = np.asarray(x_NxR, np.float64)
        variance_R, axes_RxR = np.linalg.eigh(
            np.cov(x_NxR, rowvar=False).reshape(2 * x_NxR.shape[1:])
        )
        arrays = (x_NxR.mean(axis=0), axes_RxR, np.maximum(variance_R, _LEAST_VARIANCE))
        return cls(*(jnp.asarray(x, jnp.float32) for x in arrays))


class Velocity(nn.Module):
    """v(y, t) along the principal axes: the one of a Gaussian, and what a residual network adds.

        s^2 = t^2 var + (1 - t)^2
        v(y, t) = (t var - (1 - t)) / s^2 * y + std / s * network(y / s, t)

    Attributes:
        width: of the network; its blocks have a hidden layer of twice as many units.
        blocks: how many there are.
    """

    width: int
    blocks: int

    @nn.compact
    def __call__(self, y_BxR: Array, t_B: Array, variance_R: Array) -> Array:
        t_Bx1 = t_B[:, None]
        var_1xR = variance_R[None]
        square_BxR = jnp.square(t_Bx1) * var_1xR + jnp.square(1.0 - t_Bx1)
        h_BxF = nn.Dense(self.width)(y_BxR / jnp.sqrt(square_BxR))
        h_BxF += nn.Dense(self.width)(sinusoids(t_B))
        for _ in range(self.blocks):
            inner_BxF = nn.silu(nn.Dense(2 * self.width)(nn.LayerNorm()(h_BxF)))
            h_BxF += nn.Dense(self.width, kernel_init=nn.initializers.zeros)(inner_BxF)
        last = nn.Dense(y_BxR.shape[1], kernel_init=nn.initializers.zeros)
        gaussian_BxR = (t_Bx1 * var_1xR - (1.0 - t_Bx1)) / square_BxR * y_BxR
        return gaussian_BxR + jnp.sqrt(var_1xR / square_BxR) * last(nn.LayerNorm()(h_BxF))


def sinusoids(t_B: Array) -> Array:
    """(B, 64) cosines and sines of times in [0, 1], of geometric frequencies."""
    frequency_F = jnp.geomspace(1.0, _HIGHEST, _FREQUENCIES)
    angle_BxF = t_B[:, None] * frequency_F[None]
    return jnp.concatenate([jnp.cos(angle_BxF), jnp.sin(angle_BxF)], axis=1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flow(Prior):
    bits: AnalogBits
    gaussian: Gaussian
    params: Mapping[str, Any]

    @classmethod
    def fit(
        cls,
        examples: Examples,
        key: Array,
        *,
        width: int = 256,
        blocks: int = 3,
        steps: int = 20_000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        fill=0,
    ) -> Self:
        bits = AnalogBits.of(examples.codes_NxD)
        network = Velocity(width, blocks)
        init_key, train_key = jax.random.split(key)
        x_NxR = bits.encode(examples.codes_NxD)
        if fill == "latents":
            U = len(bits.used_U)
            lat = (examples.latents_NxD[:, bits.used_U] - np.asarray(bits.mean_U)) / np.asarray(
                bits.std_U
            )
            x_NxR[:, :U] = lat
        gaussian = Gaussian.of(x_NxR)
        y_NxR = (x_NxR - np.asarray(gaussian.mean_R)) @ np.asarray(gaussian.axes_RxR)
        params = network.init(init_key, jnp.asarray(y_NxR[:1]), jnp.zeros(1), gaussian.variance_R)

        def loss(params: Any, y_BxR: Array, key: Array) -> Array:
            noise_key, time_key = jax.random.split(key)
            noise_BxR = jax.random.normal(noise_key, y_BxR.shape)
            t_B = (jax.random.uniform(time_key) + jnp.arange(len(y_BxR)) / len(y_BxR)) % 1.0
            between_BxR = (1.0 - t_B[:, None]) * noise_BxR + t_B[:, None] * y_BxR
            velocity_BxR = network.apply(params, between_BxR, t_B, gaussian.variance_R)
            return jnp.mean(jnp.square(velocity_BxR - (y_BxR - noise_BxR)))

        params = minimise(
            loss,
            params,
            y_NxR,
            train_key,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )
        return cls(bits, gaussian, params)

    def raw(self, key: Array, n: int, steps=STEPS) -> Array:
        p = self.params["params"]
        blocks = sum(name.startswith("LayerNorm") for name in p) - 1
        network = Velocity(p["Dense_0"]["kernel"].shape[1], blocks)
        y_NxR = jax.random.normal(key, (n, self.bits.size), jnp.float32)
        h = 1.0 / steps

        def heun(i: Array, y_NxR: Array) -> Array:
            t_N = jnp.full(n, i * h)
            first = network.apply(self.params, y_NxR, t_N, self.gaussian.variance_R)
            second = network.apply(
                self.params, y_NxR + h * first, t_N + h, self.gaussian.variance_R
            )
            return y_NxR + 0.5 * h * (first + second)

        y_NxR = jax.lax.fori_loop(0, steps, heun, y_NxR)
        return self.gaussian.mean_R + y_NxR @ self.gaussian.axes_RxR.T

    def sample(self, key: Array, n: int) -> Array:
        return self.bits.decode(self.raw(key, n))
