"""A second, small VAE on the latents of the first."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_topk_jax.condition import Labels, conditioned
from vae_topk_jax.losses import gaussian_kl
from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.optimise import minimise
from vae_topk_jax.priors.prior import Examples, Prior


class _Layers(nn.Module):
    """Three hidden layers, the first of which sees the class."""

    width: int
    outputs: int
    classes: int

    @nn.compact
    def __call__(self, x_BxF: Array, class_B: Array) -> Array:
        if self.classes > 1:
            x_BxF = conditioned(x_BxF, class_B, Labels(self.classes))
        for _ in range(3):
            x_BxF = nn.silu(nn.LayerNorm()(nn.Dense(self.width)(x_BxF)))
        return nn.Dense(self.outputs)(x_BxF)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TwoStage(Prior):
    """A dense VAE of the latents before the mask, with as many latents of its own as the codes use.

        u ~ N(0, I),    z ~ N(m(u), s^2),    a latent with zeros is 0 but for sigmoid(b(u))

    What is drawn goes through the mask of the model (`Inference.sparsify`). The variance s^2 of
    each latent is learnt. Where latents have zeros of their own, as by slot, each has a bit
    (`AnalogBits`) with a Bernoulli likelihood, and the likelihood of values is that of the entries
    that are not 0; where all codes have K of these, the K largest logits with logistic noise are
    drawn.

    Attributes:
        bits: the representation of latents.
        decoder: variables of the second decoder.
        logvar_U: log s^2.
        share_Y: how often each class is drawn.

    References:
        Dai & Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019.
    """

    before_mask: ClassVar[bool] = True

    bits: AnalogBits
    decoder: Mapping[str, Any]
    logvar_U: Array
    share_Y: Array

    def shares(self) -> Array:
        """share_Y."""
        return self.share_Y

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
        """The second VAE, trained on the latents.

        Args:
            examples: the latents.
            key: of initial weights, batches and the posterior.
            width: of the hidden layers.
            steps, batch_size, learning_rate: of training.

        Raises:
            ValueError: latents that are all zero.
        """
        bits = AnalogBits.of(examples.latents_NxD)
        used = len(bits.used_U)
        encoder, decoder = (
            _Layers(width, outputs, examples.classes) for outputs in (2 * used, bits.size)
        )
        encoder_key, decoder_key, train_key = jax.random.split(key, 3)
        class_1 = jnp.zeros(1, jnp.int32)
        params = {
            "encoder": encoder.init(encoder_key, jnp.zeros((1, bits.size), jnp.float32), class_1),
            "decoder": decoder.init(decoder_key, jnp.zeros((1, used), jnp.float32), class_1),
            "logvar_U": jnp.zeros(used, jnp.float32),
        }

        def loss(params: Any, batch: tuple[Array, Array], key: Array) -> Array:
            x_BxR, class_B = batch
            heads_BxR = jnp.asarray(encoder.apply(params["encoder"], x_BxR, class_B))
            mu_BxU, logvar_BxU = jnp.split(heads_BxR, 2, axis=1)
            eps_BxU = jax.random.normal(key, mu_BxU.shape, jnp.float32)
            u_BxU = mu_BxU + jnp.exp(0.5 * logvar_BxU) * eps_BxU
            output_BxR = jnp.asarray(decoder.apply(params["decoder"], u_BxU, class_B))
            value_BxU, bit_BxV = jnp.split(x_BxR, [used], axis=1)
            mean_BxU, logit_BxV = jnp.split(output_BxR, [used], axis=1)
            active_BxV = 0.5 * (bit_BxV + 1.0)
            active_BxU = jnp.ones_like(value_BxU).at[:, bits.varying_V].set(active_BxV)
            logvar_1xU = params["logvar_U"][None]
            squared_BxU = jnp.square(value_BxU - mean_BxU) * jnp.exp(-logvar_1xU)
            nats_B = 0.5 * jnp.sum(active_BxU * (squared_BxU + logvar_1xU), axis=1)
            nats_B += jnp.sum(optax.sigmoid_binary_cross_entropy(logit_BxV, active_BxV), axis=1)
            return jnp.mean(nats_B + gaussian_kl(mu_BxU, logvar_BxU, "sum"))

        trained = minimise(
            loss,
            params,
            (bits.encode(examples.latents_NxD), examples.class_N),
            train_key,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
        )
        share_Y = jnp.asarray(examples.share_Y, jnp.float32)
        return cls(bits, trained["decoder"], trained["logvar_U"], share_Y)

    def sample(self, key: Array, class_N: Array) -> Array:
        """Latents of the second VAE's prior."""
        latent_key, value_key, bit_key = jax.random.split(key, 3)
        u_NxU = jax.random.normal(latent_key, (len(class_N), len(self.logvar_U)), jnp.float32)
        width = self.decoder["params"]["Dense_0"]["kernel"].shape[1]
        decoder = _Layers(width, self.bits.size, len(self.share_Y))
        output_NxR = decoder.apply(self.decoder, u_NxU, class_N)
        mean_NxU, logit_NxV = jnp.split(jnp.asarray(output_NxR), [len(self.logvar_U)], axis=1)
        eps_NxU = jax.random.normal(value_key, mean_NxU.shape, jnp.float32)
        values_NxU = mean_NxU + jnp.exp(0.5 * self.logvar_U)[None] * eps_NxU
        score_NxV = logit_NxV + jax.random.logistic(bit_key, logit_NxV.shape, jnp.float32)
        return self.bits.decode(jnp.concatenate([values_NxU, score_NxV], axis=1))
