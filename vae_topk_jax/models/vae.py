"""The VAE and the beta-VAE."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import Selection
from vae_topk_jax.losses import (
    RECONSTRUCTIONS,
    Likelihood,
    Reduction,
    batch_average,
    gaussian_kl,
)
from vae_topk_jax.models.system import System
from vae_topk_jax.networks import BODIES


class Code(NamedTuple):
    """What the decoder sees, and how it was chosen.

    Attributes:
        z_BxD: the latent, zero where it was masked.
        selection: None in a dense model.
    """

    z_BxD: Array
    selection: Selection | None = None


class VAE(System):
    """A variational autoencoder of images in [0, 1] with a N(0, I) prior.

        z = mu + exp(logvar / 2) * eps,    (mu, logvar) = encoder(x),    eps ~ N(0, I)
        loss = reconstruction(decoder(z), x) + beta * KL(N(mu, exp(logvar)) || N(0, I))

    Use its methods through `apply`, as pure functions of the variables:
    `model.apply(variables, x, method="encode")`.

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

    Examples:
        >>> model = VAE(image_shape=(28, 28, 1), latent_dim=16)
        >>> x = jnp.zeros((4, 28, 28, 1))
        >>> variables = model.init(jax.random.key(0), x)
        >>> model.apply(variables, x, method="encode").shape
        (4, 16)

    References:
        Kingma & Welling, "Auto-Encoding Variational Bayes", 2013.
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
        encoder, decoder = BODIES[self.body]
        self.encoder = encoder(self.widths, self.dtype)
        self.mu_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        self.logvar_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        self.decoder = decoder(self.image_shape, self.widths, self.dtype)

    def posterior(self, x_BxHxWxC: Array) -> tuple[Array, Array]:
        """(mu_BxD, logvar_BxD) of the posterior, before any mask."""
        h_BxF = self.encoder(x_BxHxWxC)
        mu_BxD, logvar_BxD = self.mu_head(h_BxF), self.logvar_head(h_BxF)
        return mu_BxD.astype(jnp.float32), logvar_BxD.astype(jnp.float32)

    def bottleneck(
        self,
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        *,
        valid_B: Array | None = None,
        use_running_average: bool,
        progress: ArrayLike | None = None,
    ) -> Code:
        """The code that is decoded: z itself in a dense model.

        `progress` is that of training, for what is scheduled; None where nothing is trained.
        """
        return Code(z_BxD)

    def divergence(self, mu_BxD: Array, logvar_BxD: Array, code: Code) -> Array:
        """The KL term of each example, kl_B."""
        return gaussian_kl(mu_BxD, logvar_BxD, self.latent_reduction)

    def auxiliary(
        self,
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        code: Code,
        target_BxHxWxC: Array,
        valid_B: Array | None,
    ) -> dict[str, Array]:
        """Further terms of the training loss by name, weighted already."""
        return {}

    def latents(self, x_BxHxWxC: Array) -> Array:
        """The posterior means, before any mask."""
        return self.posterior(x_BxHxWxC)[0]

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD through the mask of inference, as if each posterior had unit variance."""
        return self.bottleneck(z_BxD, z_BxD, jnp.zeros_like(z_BxD), use_running_average=True).z_BxD

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        mu_BxD, logvar_BxD = self.posterior(x_BxHxWxC)
        z_BxD = self._sample(mu_BxD, logvar_BxD) if sample else mu_BxD
        return self.bottleneck(
            z_BxD, mu_BxD, logvar_BxD, use_running_average=use_running_average
        ).z_BxD

    def decode(self, z_BxD: Array) -> Array:
        """Images in [0, 1] from codes."""
        return jax.nn.sigmoid(self.decoder(z_BxD))

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
    ) -> tuple[Array, dict[str, Array]]:
        """See `System.loss`; in training z is sampled (needs the rng "latent").

        The terms have "kl", without its beta. A sparse model in training adds "agreement", that of
        its batch's mask with the running one.
        """
        mu_BxD, logvar_BxD = self.posterior(x_BxHxWxC)
        z_BxD = self._sample(mu_BxD, logvar_BxD) if train else mu_BxD
        code = self.bottleneck(
            z_BxD,
            mu_BxD,
            logvar_BxD,
            valid_B=valid_B,
            use_running_average=not train,
            progress=progress if train else None,
        )
        reconstruction = self._reconstruction_loss(code.z_BxD, target_BxHxWxC, valid_B)
        kl = batch_average(self.divergence(mu_BxD, logvar_BxD, code), valid_B)
        loss = reconstruction + self.beta * _warmed_up(progress, self.beta_warmup) * kl
        extra = (
            self.auxiliary(z_BxD, mu_BxD, logvar_BxD, code, target_BxHxWxC, valid_B)
            if train
            else {}
        )
        loss = sum(extra.values(), loss)
        terms = {"loss": loss, "reconstruction": reconstruction, "kl": kl, **extra}
        if train and code.selection is not None:
            terms["agreement"] = jnp.asarray(code.selection.agreement)
        return loss, terms

    def _reconstruction_loss(
        self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None
    ) -> Array:
        reconstruction_B = RECONSTRUCTIONS[self.likelihood](
            self.decoder(z_BxD), target_BxHxWxC, self.pixel_reduction
        )
        return batch_average(reconstruction_B, valid_B)

    def _sample(self, mu_BxD: Array, logvar_BxD: Array) -> Array:
        eps_BxD = jax.random.normal(self.make_rng("latent"), mu_BxD.shape)
        return mu_BxD + jnp.exp(0.5 * logvar_BxD) * eps_BxD


def _warmed_up(progress: ArrayLike, warmup: float) -> ArrayLike:
    """The share of beta in force: linear from 0 to 1 over the first `warmup` of the run."""
    return jnp.minimum(1.0, progress / warmup) if warmup else 1.0


class BetaVAE(VAE):
    """A VAE whose KL term is weighted, by default as in the paper, with averaged losses.

    Examples:
        >>> BetaVAE(image_shape=(28, 28, 1), latent_dim=64).beta
        0.001

    References:
        Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
        Framework", ICLR 2017. Byeon & Lee, section 2.3 (beta = 0.001).
    """

    beta: float = 0.001
    pixel_reduction: Reduction = "mean"
    latent_reduction: Reduction = "mean"
