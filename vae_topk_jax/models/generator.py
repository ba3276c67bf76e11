"""What models of images with a decoder share."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_image_shape
from vae_topk_jax.convolution import ConvTranspose
from vae_topk_jax.losses import RECONSTRUCTIONS, Likelihood, Reduction, batch_average
from vae_topk_jax.models.system import System
from vae_topk_jax.networks import BODIES


class Generator(System):
    """A system whose decoder makes images in [0, 1] of codes."""

    body: Literal["mlp", "residual", "conv", "resnet"] = "mlp"
    """Encoder and decoder: dense layers with ReLU; dense layers with LayerNorm, GELU and skips;
    convolutions; or residual convolutions with GroupNorm, of as many levels as the image's size
    wants."""
    widths: Annotated[tuple[int, ...], Ge(1)] = (512, 256)
    """Widths of the encoder's layers (channels, for convolutions; the last of them for the further
    levels of "resnet"); the decoder mirrors them."""
    likelihood: Likelihood = "gaussian"
    """Reconstruction term: squared error of the sigmoid, or Bernoulli in nats."""
    beta: Annotated[float, Ge(0)] = 0.001
    """Weight of the KL term, or of the prior."""
    beta_warmup: Annotated[float, Interval(ge=0, le=1)] = 0.5
    """Fraction of training over which beta rises linearly from 0. Without it, a KL summed over
    latents switches some of the K dimensions off before they carry anything, for good; 0 for the
    paper."""
    pixel_reduction: Reduction = "mean"
    """How the reconstruction term is reduced over pixels."""
    latent_reduction: Reduction = "mean"
    """How the KL term is reduced over latents."""

    def setup(self) -> None:
        check_image_shape(self.image_shape)
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
        """The beta in force: linear from 0 over the first `beta_warmup` of training."""
        risen = jnp.minimum(1.0, progress / self.beta_warmup) if self.beta_warmup else 1.0
        return self.beta * risen
