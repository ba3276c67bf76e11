"""What models with a decoder share."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.convolution import ConvTranspose
from vae_topk_jax.fields import OneOf
from vae_topk_jax.likelihoods import (
    LIKELIHOODS,
    OF_ANY_VALUE,
    Likelihood,
    bounded_logvar,
    starting_logvar,
)
from vae_topk_jax.losses import Reduction, batch_average
from vae_topk_jax.metrics.image import WINDOW, ssim
from vae_topk_jax.models.system import System
from vae_topk_jax.networks import BODIES
from vae_topk_jax.refinement import Objective
from vae_topk_jax.resnet import level_channels


class Generator(System):
    """A system whose decoder makes images, or vectors, of codes."""

    body: Literal["mlp", "residual", "conv", "resnet"] = "mlp"
    """Encoder and decoder: dense layers with ReLU; dense layers with LayerNorm, GELU and skips;
    convolutions; or residual convolutions with GroupNorm, of as many levels as the image's size
    wants."""
    widths: Annotated[tuple[int, ...], Ge(1)] = (512, 256)
    """Widths of the encoder's layers (channels, for convolutions; the last of them for the further
    levels of "resnet"); the decoder mirrors them."""
    likelihood: Annotated[str, OneOf(LIKELIHOODS)] = "gaussian"
    """Reconstruction term. Of inputs in [0, 1]: squared error of the sigmoid, or Bernoulli in nats.
    Of any inputs: squared error of the output itself, or its normal log-likelihood in nats with a
    learnt variance, one for all values or one for each."""
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
    structural: Annotated[float, Ge(0)] = dataclasses.field(default=0.0, kw_only=True)
    """Weight of 1 - SSIM beside the reconstruction term of a pixel, for images in [0, 1] of at
    least 11 x 11."""

    def check(self) -> None:
        if self.standardize != "none" and self.input_range is not None:
            raise ValueError(
                f"standardize must be 'none' with likelihood {self.likelihood!r}, which is of "
                f"values in [0, 1], got {self.standardize!r}; {' and '.join(OF_ANY_VALUE)} are of "
                "any values"
            )
        if self.structural and self.input_range is None:
            raise ValueError(
                f"structural must be 0 with likelihood {self.likelihood!r}, which is of any "
                f"values (SSIM is of values in [0, 1]), got {self.structural}"
            )

    def check_shape(self, image_shape: Sequence[int]) -> None:
        super().check_shape(image_shape)
        if self.body in ("conv", "resnet") and tuple(image_shape[:2]) == (1, 1):
            raise ValueError(f"body must be 'mlp' or 'residual' for vectors, got {self.body!r}")
        if self.body == "resnet":
            level_channels(self.widths, image_shape)
        height, width = image_shape[:2]
        if self.structural and min(height, width) < WINDOW:
            raise ValueError(
                f"structural must be 0 for images smaller than SSIM's window, {WINDOW} x {WINDOW}, "
                f"got {self.structural} for {height} x {width}"
            )

    def setup(self) -> None:
        super().setup()
        self.decoder = BODIES[self.body][1](self.image_shape, self.widths, self.dtype)
        if self.rule.has_variance:
            shape = self.rule.logvar_shape(self.image_shape)
            self.output_logvar = self.param(
                "output_logvar", nn.initializers.zeros, shape, jnp.float32
            )

    @property
    def rule(self) -> Likelihood:
        """What `likelihood` names."""
        return LIKELIHOODS[self.likelihood]

    @property
    def input_range(self) -> tuple[float, float] | None:
        return self.rule.input_range

    def decode(self, z_BxD: Array) -> Array:
        """The mean of the inputs given codes: images in [0, 1], or inputs of any values."""
        return self.restored(self.rule.mean(self.decoder(self.decoder_input(z_BxD))))

    def decoder_input(self, z_BxD: Array, mask_BxD: Array | None = None) -> Array:
        """What the decoder's layers see of codes: the codes themselves.

        Args:
            z_BxD: the codes.
            mask_BxD: in training, a mask with a gradient that is the codes' support.
        """
        return z_BxD

    def output_variance(self) -> Array:
        """The variance of an input given its code, (H, W, C), where the likelihood learns it.

        Raises:
            ValueError: another likelihood.
        """
        if not self.rule.has_variance:
            raise ValueError(f"likelihood must have a learnt variance, got {self.likelihood!r}")
        variance = jnp.exp(bounded_logvar(self.output_logvar))
        variance_HxWxC = jnp.broadcast_to(variance, tuple(self.image_shape))
        if self.standardize == "none":
            return variance_HxWxC
        return variance_HxWxC * jnp.square(self.standardization.scale.value)

    def refinement_objective(self) -> Objective:
        """What refinement judges codes by: the loss of an image whose posterior is narrow, but for
        a factor and constants, with squared errors also where the likelihood is Bernoulli."""
        pixels = math.prod(self.image_shape) if self.pixel_reduction == "mean" else 1
        latents = self.latent_dim if self.latent_reduction == "mean" else 1
        scale_HxWxC = jnp.ones(tuple(self.image_shape), jnp.float32)
        factor = 0.5
        if self.rule.has_variance:
            scale_HxWxC, factor = jnp.sqrt(self.output_variance()), 1.0
        elif self.standardize != "none":
            scale_HxWxC *= self.standardization.scale.value
        zeros_D = jnp.zeros(self.latent_dim, jnp.float32)
        precision = factor * self.beta * pixels / latents
        return Objective(scale_HxWxC, zeros_D + precision, zeros_D, self.structural)

    def swaps(self) -> Array | None:
        """may_swap_DxD: whether refinement may exchange an active latent (row) for an inactive one
        (column); None: any for any."""
        return None

    def offers(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Array | None:
        """offers_BxD: values at which refinement tries each inactive latent, beside those that the
        decoder's slope proposes; None where the encoder has none for them."""
        return None

    def start(self, params: dict, x_NxHxWxC: Array, key: jax.Array) -> dict:
        """A learnt variance starts at that of the inputs, and a convolutional decoder's images at
        the mean of the inputs, channel by channel.

        From grey, dark images are reached soonest by growing latents and weights, and the sigmoid
        saturates before any digit is learnt.
        """
        if self.rule.has_variance:
            logvar = jnp.full_like(params["output_logvar"], starting_logvar(x_NxHxWxC))
            params = params | {"output_logvar": logvar}
        decoder = params["decoder"]
        convolutions = [name for name in decoder if name.startswith(ConvTranspose.__name__)]
        if not convolutions:
            return params
        last = f"{ConvTranspose.__name__}_{len(convolutions) - 1}"
        mean_C = jnp.mean(x_NxHxWxC, axis=(0, 1, 2))
        if self.input_range is not None:
            mean_C = jax.scipy.special.logit(jnp.clip(mean_C, 0.01, 0.99))
        layer = decoder[last] | {"bias": mean_C}
        return params | {"decoder": decoder | {last: layer}}

    def _reconstruction(self, z_BxD: Array, target_BxHxWxC: Array) -> Array:
        """The reconstruction term of each example, from what the decoder sees."""
        learnt: dict[str, Any] = {}
        if self.rule.has_variance:
            learnt["logvar"] = bounded_logvar(self.output_logvar)
        output_BxHxWxC, target_BxHxWxC = self.decoder(z_BxD), self.standardized(target_BxHxWxC)
        reconstruction_B = self.rule.term(
            output_BxHxWxC, target_BxHxWxC, self.pixel_reduction, **learnt
        )
        if self.structural:
            pixels = math.prod(self.image_shape) if self.pixel_reduction == "sum" else 1
            dissimilarity_B = 1.0 - ssim(self.rule.mean(output_BxHxWxC), target_BxHxWxC)
            reconstruction_B += self.structural * pixels * dissimilarity_B
        return reconstruction_B

    def _reconstruction_loss(
        self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None
    ) -> Array:
        return batch_average(self._reconstruction(z_BxD, target_BxHxWxC), valid_B)

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
