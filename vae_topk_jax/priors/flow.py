"""A flow from noise to sparse codes, trained by flow matching."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior

STEPS = 20  # of the solver
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
            np.cov(x_NxR, rowvar=False, ddof=0).reshape(2 * x_NxR.shape[1:])
        )
        arrays = (x_NxR.mean(axis=0), axes_RxR, np.maximum(variance_R, _LEAST_VARIANCE))
        return cls(*(jnp.asarray(x, jnp.float32) for x in arrays))

    def along(self, x_NxR: np.ndarray) -> np.ndarray:
        """y_NxR, the examples along the axes."""
        return (x_NxR - np.asarray(self.mean_R)) @ np.asarray(self.axes_RxR)

    def back(self, y_NxR: Array) -> Array:
        """The inverse of `along`."""
        return self.mean_R[None] + y_NxR @ self.axes_RxR.T


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
    frequency_F = jnp.geomspace(1.0, _HIGHEST, _FREQUENCIES, dtype=jnp.float32)
    angle_BxF = t_B[:, None] * frequency_F[None]
    return jnp.concatenate([jnp.cos(angle_BxF), jnp.sin(angle_BxF)], axis=1)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Flow(Prior):
    """A flow-matching model of the latents before the mask, or of codes where there are no others.

        y_t = (1 - t) y_0 + t y_1,    y_0 ~ N(0, I),    y_1 = the latents of an image
        loss = E |v(y_t, t) - (y_1 - y_0)|^2

    Noise at t = 0 follows dy/dt = v(y, t) to t = 1, by Heun's method, and what it becomes goes
    through the mask of the model (`Inference.sparsify`), which makes exact zeros. Codes have a gap
    around 0, which a flow blurs; their latents before the mask have none. Where the latents have
    zeros of their own, as by slot, the flow has a bit for each (`AnalogBits`) and draws support and
    values together.

    The velocity is that of a Gaussian with the mean and the covariance of the latents, and what a
    network adds: before training, what is drawn has these two moments.

    Attributes:
        bits: the representation of latents.
        gaussian: its principal axes.
        params: of `Velocity`.

    References:
        Lipman et al., "Flow Matching for Generative Modeling", ICLR 2023 (the conditional optimal
        transport path); Liu, Gong & Liu, "Flow Straight and Fast", ICLR 2023. Karras et al.,
        "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022
        (the scales of a network's input and output).
    """

    before_mask: ClassVar[bool] = True

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
        steps: int = 60_000,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
    ) -> Self:
        """The flow to the latents.

        Args:
            examples: the latents.
            key: of initial weights, batches, times and noise.
            width, blocks: of the network, see `Velocity`.
            steps, batch_size, learning_rate: of training.

        Raises:
            ValueError: codes that are all zero.
        """
        bits = AnalogBits.of(examples.latents_NxD)
        x_NxR = bits.encode(examples.latents_NxD)
        gaussian = Gaussian.of(x_NxR)
        network = Velocity(width, blocks)
        init_key, train_key = jax.random.split(key)
        row_1xR = jnp.zeros((1, bits.size), jnp.float32)
        first = network.init(init_key, row_1xR, row_1xR[:, 0], gaussian.variance_R)

        def loss(params: Any, y_BxR: Array, key: Array) -> Array:
            noise_key, time_key = jax.random.split(key)
            noise_BxR = jax.random.normal(noise_key, y_BxR.shape, jnp.float32)
            t_B = _spread_times(time_key, len(y_BxR))
            between_BxR = (1.0 - t_B[:, None]) * noise_BxR + t_B[:, None] * y_BxR
            velocity = network.apply(params, between_BxR, t_B, gaussian.variance_R)
            return jnp.mean(jnp.square(jnp.asarray(velocity) - (y_BxR - noise_BxR)))

        params = minimise(
            loss,
            first,
            gaussian.along(x_NxR),
            train_key,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )
        return cls(bits, gaussian, params)

    def sample(self, key: Array, n: int) -> Array:
        """n latents from noise."""
        y_NxR = jax.random.normal(key, (n, self.bits.size), jnp.float32)
        network, step = self._network(), 1.0 / STEPS

        def velocity(y_NxR: Array, t: Array) -> Array:
            t_N = jnp.broadcast_to(t, (n,))
            return jnp.asarray(network.apply(self.params, y_NxR, t_N, self.gaussian.variance_R))

        def heun(number: Array, y_NxR: Array) -> Array:
            t = number.astype(jnp.float32) * step
            first_NxR = velocity(y_NxR, t)
            second_NxR = velocity(y_NxR + step * first_NxR, t + step)
            return y_NxR + 0.5 * step * (first_NxR + second_NxR)

        y_NxR = jax.lax.fori_loop(jnp.int32(0), jnp.int32(STEPS), heun, y_NxR)
        return self.bits.decode(self.gaussian.back(y_NxR))

    def _network(self) -> Velocity:
        """The network whose parameters these are."""
        params = self.params["params"]
        blocks = sum(name.startswith("LayerNorm") for name in params) - 1
        return Velocity(params["Dense_0"]["kernel"].shape[1], blocks)


def _spread_times(key: Array, n: int) -> Array:
    """n times in [0, 1), each uniform, evenly spread over a batch."""
    even_N = jnp.linspace(0.0, 1.0, n, endpoint=False, dtype=jnp.float32)
    return (even_N + jax.random.uniform(key, (), jnp.float32)) % 1.0
