"""A second, small VAE on the codes of the first."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_topk_jax.losses import gaussian_kl
from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior


class _Layers(nn.Module):
    """Three hidden layers."""

    width: int
    outputs: int

    @nn.compact
    def __call__(self, x_BxF: Array) -> Array:
        for _ in range(3):
            x_BxF = nn.silu(nn.LayerNorm()(nn.Dense(self.width)(x_BxF)))
        return nn.Dense(self.outputs)(x_BxF)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TwoStage(Prior):
    """A dense VAE of codes, with as many latents as the codes use; its prior is N(0, I).

        u ~ N(0, I),    values ~ N(m(u), s^2),    a latent is active with probability sigmoid(b(u))

    The code of an image is the values and the support (`AnalogBits`); the likelihood of the values
    is that of active entries, with a variance s^2 of each latent that is learnt. Where all codes
    have K active latents, those K are drawn without replacement.

    Attributes:
        bits: the representation of codes.
        decoder: variables of the second decoder.
        logvar_U: log s^2.

    References:
        Dai & Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019.
    """

    bits: AnalogBits
    decoder: Mapping[str, Any]
    logvar_U: Array

    @classmethod
    def fit(
        cls,
        examples: Examples,
        key: Array,
        *,
        width: int = 256,
        steps: int = 10_000,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
    ) -> Self:
        """The second VAE, trained on the codes.

        Args:
            examples: the codes.
            key: of initial weights, batches and the posterior.
            width: of the hidden layers.
            steps, batch_size, learning_rate: of training.

        Raises:
            ValueError: as `AnalogBits.of` and `vae_topk_jax.priors.optimise.minimise`.
        """
        bits = AnalogBits.of(examples.codes_NxD)
        x_NxR = bits.encode(examples.codes_NxD)
        used = bits.size // 2
        encoder, decoder = _Layers(width, 2 * used), _Layers(width, 2 * used)
        encoder_key, decoder_key, train_key = jax.random.split(key, 3)
        params = {
            "encoder": encoder.init(encoder_key, jnp.zeros((1, 2 * used))),
            "decoder": decoder.init(decoder_key, jnp.zeros((1, used))),
            "logvar_U": jnp.zeros(used),
        }

        def loss(params: Any, x_BxR: Array, key: Array) -> Array:
            mu_BxU, logvar_BxU = jnp.split(encoder.apply(params["encoder"], x_BxR), 2, axis=1)
            eps_BxU = jax.random.normal(key, mu_BxU.shape)
            u_BxU = mu_BxU + jnp.exp(0.5 * logvar_BxU) * eps_BxU
            mean_BxU, logit_BxU = jnp.split(decoder.apply(params["decoder"], u_BxU), 2, axis=1)
            value_BxU, bit_BxU = jnp.split(x_BxR, 2, axis=1)
            active_BxU = 0.5 * (bit_BxU + 1.0)
            logvar_1xU = params["logvar_U"][None]
            squared_BxU = jnp.square(value_BxU - mean_BxU) * jnp.exp(-logvar_1xU)
            nats_BxU = 0.5 * active_BxU * (squared_BxU + logvar_1xU)
            nats_BxU += optax.sigmoid_binary_cross_entropy(logit_BxU, active_BxU)
            return jnp.mean(jnp.sum(nats_BxU, 1) + gaussian_kl(mu_BxU, logvar_BxU, "sum"))

        trained = minimise(
            loss,
            params,
            x_NxR,
            train_key,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )
        return cls(bits, trained["decoder"], trained["logvar_U"])

    def sample(self, key: Array, n: int) -> Array:
        """n codes of the second VAE's prior."""
        latent_key, value_key, bit_key = jax.random.split(key, 3)
        u_NxU = jax.random.normal(latent_key, (n, len(self.logvar_U)), jnp.float32)
        width = self.decoder["params"]["Dense_0"]["kernel"].shape[1]
        output_NxR = _Layers(width, self.bits.size).apply(self.decoder, u_NxU)
        mean_NxU, logit_NxU = jnp.split(jnp.asarray(output_NxR), 2, axis=1)
        eps_NxU = jax.random.normal(value_key, mean_NxU.shape, jnp.float32)
        values_NxU = mean_NxU + jnp.exp(0.5 * self.logvar_U)[None] * eps_NxU
        score_NxU = logit_NxU + jax.random.logistic(bit_key, logit_NxU.shape, jnp.float32)
        return self.bits.decode(jnp.concatenate([values_NxU, score_NxU], axis=1))
