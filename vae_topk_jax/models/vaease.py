"""VAEase: a VAE that switches latents off by their own noise, image by image."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.likelihoods import starting_logvar
from vae_topk_jax.losses import Reduction
from vae_topk_jax.models.vae import VAE, Code
from vae_topk_jax.objectives import SETTINGS
from vae_topk_jax.refinement import Objective
from vae_topk_jax.scores import one_minus_sigma


class VAEase(VAE):
    """A VAE whose decoder sees (1 - sigma) z, and learns its own variance gamma.

        z = mu + sigma eps,    x_hat = decoder((1 - sigma) z)
        loss = |x - x_hat|^2 / (2 gamma) + F log(gamma) / 2 + KL(N(mu, sigma^2) || N(0, I))

    with sums over the F pixels and over the latents. A latent that rests at its prior, sigma = 1,
    adds nothing to the image, so each image uses the latents that it needs. Nothing sets their
    number: it follows from gamma, that is from how well the images can be described. Codes are
    (1 - sigma) mu; they are small in the unused latents, not zero.

    gamma starts at the variance of the training images (`likelihoods.starting_logvar`): a latent
    that early training brings to its prior has its gate shut, and stays there.

    Examples:
        >>> import jax
        >>> model = VAEase(image_shape=(4, 4, 1), latent_dim=8, widths=(16,))
        >>> x = jnp.zeros((2, 4, 4, 1))
        >>> variables = model.init(jax.random.key(0), x)
        >>> model.apply(variables, x, method="encode").shape
        (2, 8)

    References:
        "Sparse Autoencoders, Again?", ICML 2025, arXiv 2506.04859.
    """

    fixed = SETTINGS | frozenset(
        {
            "beta",
            "beta_warmup",
            "likelihood",
            "standardize",
            "structural",
            "train_refined",
            "pixel_reduction",
            "latent_reduction",
        }
    )

    beta_warmup: float = 0.0
    pixel_reduction: Reduction = "sum"
    latent_reduction: Reduction = "sum"

    def setup(self) -> None:
        super().setup()
        self.log_gamma = self.param("log_gamma", nn.initializers.zeros, (), jnp.float32)

    def bottleneck(
        self,
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        logits_BxD: Array | None = None,
        *,
        valid_B: Array | None = None,
        use_running_average: bool,
        progress: ArrayLike | None = None,
    ) -> Code:
        """(1 - sigma) z."""
        return Code(one_minus_sigma(z_BxD, mu_BxD, logvar_BxD) * z_BxD)

    def latents(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Array:
        """The codes: the gate is a part of them."""
        return self.encode(x_BxHxWxC, label_B=label_B)

    def start(self, params: dict, x_NxHxWxC: Array, key: jax.Array) -> dict:
        """gamma starts at the variance of the inputs."""
        params = super().start(params, x_NxHxWxC, key)
        return params | {"log_gamma": starting_logvar(x_NxHxWxC)}

    def refinement_objective(self) -> Objective:
        """See `Generator.refinement_objective`; the variance is gamma."""
        found = super().refinement_objective()
        precision_D = jnp.full_like(found.mean_D, jnp.exp(self.log_gamma))
        return dataclasses.replace(found, precision_D=precision_D)

    def _reconstruction_loss(
        self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None
    ) -> Array:
        squared = super()._reconstruction_loss(z_BxD, target_BxHxWxC, valid_B)
        pixels = math.prod(self.image_shape)
        return 0.5 * (squared * jnp.exp(-self.log_gamma) + pixels * self.log_gamma)
