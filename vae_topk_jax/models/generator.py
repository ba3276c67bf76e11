"""What models of images with a decoder share."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import RECONSTRUCTIONS, Likelihood, Reduction, batch_average
from vae_topk_jax.models.system import System
from vae_topk_jax.networks import BODIES, ConvTranspose


class Generator(System):
    """A system whose decoder makes images in [0, 1] of codes.

    Attributes:
        image_shape: (H, W, C).
        latent_dim: D.
        body: a name in `vae_topk_jax.networks.BODIES`: "mlp", "residual" or "conv".
        widths: of the encoder's layers; the decoder mirrors them.
        likelihood: "gaussian" (squared error of the sigmoid) or "bernoulli" (nats).
        beta: weight of the KL term.
        beta_warmup: share of the run over which beta rises linearly from 0.
        pixel_reduction, latent_reduction: how the two terms are reduced over pixels and latents.
        dtype: type of the layers' arithmetic; parameters, latents and losses stay float32.
    """

    image_shape: Sequence[int]
    latent_dim: int
    body: str = "mlp"
    widths: Sequence[int] = (512, 256)
    likelihood: Likelihood = "gaussian"
    beta: float = 1.0
    beta_warmup: float = 0.0
    pixel_reduction: Reduction = "sum"
    latent_reduction: Reduction = "sum"
    dtype: Any = jnp.float32

    def setup(self) -> None:
        self.decoder = BODIES[self.body][1](self.image_shape, self.widths, self.dtype)

    def decode(self, z_BxD: Array) -> Array:
        """Images in [0, 1] from codes."""
        return jax.nn.sigmoid(self.decoder(z_BxD))

    @staticmethod
    def start(params: dict, x_NxHxWxC: Array, key: jax.Array) -> dict:
        """A convolutional decoder's images start at the mean of the inputs, channel by channel.

        From grey, dark images are reached soonest by growing latents and weights, and the sigmoid
        saturates before any digit is learnt.
        """
        decoder = params["decoder"]
        convolutions = [name for name in decoder if name.startswith(ConvTranspose.__name__)]
        if not convolutions:
            return params
        last = f"{ConvTranspose.__name__}_{len(convolutions) - 1}"
        mean_C = jnp.clip(jnp.mean(x_NxHxWxC, axis=(0, 1, 2)), 0.01, 0.99)
        layer = decoder[last] | {"bias": jax.scipy.special.logit(mean_C)}
        return params | {"decoder": decoder | {last: layer}}

    def _reconstruction_loss(
        self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None
    ) -> Array:
        reconstruction_B = RECONSTRUCTIONS[self.likelihood](
            self.decoder(z_BxD), target_BxHxWxC, self.pixel_reduction
        )
        return batch_average(reconstruction_B, valid_B)

    def _bound(
        self,
        z_BxD: Array,
        kl_B: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None,
        progress: ArrayLike,
    ) -> dict[str, Array]:
        """reconstruction + beta * KL as "loss", and the two terms, the KL without its beta."""
        reconstruction = self._reconstruction_loss(z_BxD, target_BxHxWxC, valid_B)
        kl = batch_average(kl_B, valid_B)
        loss = reconstruction + self._warmed_up_beta(progress) * kl
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}

    def _warmed_up_beta(self, progress: ArrayLike) -> ArrayLike:
        """The beta in force: linear from 0 over the first `beta_warmup` of the run."""
        share = jnp.minimum(1.0, progress / self.beta_warmup) if self.beta_warmup else 1.0
        return self.beta * share
