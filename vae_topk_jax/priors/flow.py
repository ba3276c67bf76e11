"""A flow from noise to sparse codes, trained by flow matching."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior

INTEGRATION_STEPS = 50
_FREQUENCIES = 32  # of the embedding of time
_HIGHEST = 100.0


class Velocity(nn.Module):
    """v(x, t): a residual network with the time in every block.

    Attributes:
        width: of the hidden layers.
        blocks: how many residual blocks there are.
    """

    width: int
    blocks: int

    @nn.compact
    def __call__(self, x_BxR: Array, t_B: Array) -> Array:
        time_BxF = nn.silu(nn.Dense(self.width)(sinusoids(t_B)))
        h_BxF = nn.Dense(self.width)(x_BxR)
        for _ in range(self.blocks):
            scale_BxF, shift_BxF = jnp.split(nn.Dense(2 * self.width)(time_BxF), 2, axis=1)
            inner_BxF = nn.LayerNorm()(h_BxF) * (1.0 + scale_BxF) + shift_BxF
            inner_BxF = nn.silu(nn.Dense(2*self.width)(inner_BxF))
            h_BxF = h_BxF + nn.Dense(self.width, kernel_init=nn.initializers.zeros)(inner_BxF)
        return nn.Dense(x_BxR.shape[1], kernel_init=nn.initializers.zeros)(nn.LayerNorm()(h_BxF))


def sinusoids(t_B: Array) -> Array:
    """(B, 64) cosines and sines of times in [0, 1], of geometric frequencies."""
    frequency_F = jnp.geomspace(1.0, _HIGHEST, _FREQUENCIES)
    angle_BxF = t_B[:, None] * frequency_F[None]
    return jnp.concatenate([jnp.cos(angle_BxF), jnp.sin(angle_BxF)], axis=1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flow(Prior):
    bits: AnalogBits
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
        U = len(bits.used_U)
        if fill == "latents":
            lat = (examples.latents_NxD[:, bits.used_U] - np.asarray(bits.mean_U)) / np.asarray(bits.std_U)
            x_NxR[:, :U] = lat
        params = network.init(init_key, jnp.asarray(x_NxR[:1]), jnp.zeros(1))

        def loss(params: Any, x_BxR: Array, key: Array) -> Array:
            noise_key, time_key, k3 = jax.random.split(key, 3)
            if fill == "noise":
                f = jax.random.normal(k3, (len(x_BxR), U))
                x_BxR = x_BxR.at[:, :U].set(jnp.where(x_BxR[:, U:] > 0, x_BxR[:, :U], f))
            noise_BxR = jax.random.normal(noise_key, x_BxR.shape)
            t_B = (jax.random.uniform(time_key) + jnp.arange(len(x_BxR)) / len(x_BxR)) % 1.0
            between_BxR = (1.0 - t_B[:, None]) * noise_BxR + t_B[:, None] * x_BxR
            velocity_BxR = network.apply(params, between_BxR, t_B)
            return jnp.mean(jnp.square(velocity_BxR - (x_BxR - noise_BxR)))

        params = minimise(
            loss, params, x_NxR, train_key,
            steps=steps, batch_size=batch_size, learning_rate=learning_rate,
        )
        return cls(bits, params)

    def raw(self, key: Array, n: int, steps=INTEGRATION_STEPS) -> Array:
        p = self.params["params"]
        network = Velocity(p["Dense_0"]["kernel"].shape[1], sum(k.startswith("LayerNorm") for k in p) - 1)
        x_NxR = jax.random.normal(key, (n, self.bits.size), jnp.float32)
        h = 1.0 / steps

        def heun(i: Array, x_NxR: Array) -> Array:
            t_N = jnp.full(n, i * h)
            first = network.apply(self.params, x_NxR, t_N)
            second = network.apply(self.params, x_NxR + h * first, t_N + h)
            return x_NxR + 0.5 * h * (first + second)

        return jax.lax.fori_loop(0, steps, heun, x_NxR)

    def sample(self, key: Array, n: int) -> Array:
        return self.bits.decode(self.raw(key, n))
