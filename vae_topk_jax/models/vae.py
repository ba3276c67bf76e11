"""The VAE and the beta-VAE."""

from typing import Annotated, Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import gaussian_kl
from vae_topk_jax.models.generator import Generator
from vae_topk_jax.models.refined import WithRefinement
from vae_topk_jax.networks import BODIES
from vae_topk_jax.rule import Selection


class Heads(NamedTuple):
    """What the encoder says of a batch.

    Attributes:
        mu_BxD, logvar_BxD: of the posterior, before any mask.
        logits_BxD: how much each latent should be chosen; None where nothing of the kind is learnt.
    """

    mu_BxD: Array
    logvar_BxD: Array
    logits_BxD: Array | None = None


class Code(NamedTuple):
    """What is decoded, and how it was chosen.

    Attributes:
        z_BxD: the latent, zero where it was masked.
        selection: None in a dense model.
        mask_BxD: the support of z with the gradient of a choice that is learnt; None where there is
            none.
        penalty: () what the choice adds to the loss in training; None: nothing.
    """

    z_BxD: Array
    selection: Selection | None = None
    mask_BxD: Array | None = None
    penalty: Array | None = None


class VAE(WithRefinement):
    """A variational autoencoder of images, or of vectors, with a N(0, I) prior.

        z = mu + exp(logvar / 2) * eps,    (mu, logvar) = encoder(x),    eps ~ N(0, I)
        loss = reconstruction(decoder(z), x) + beta * KL(N(mu, exp(logvar)) || N(0, I))

    Use its methods through `apply`, as pure functions of the variables:
    `model.apply(variables, x, method="encode")`. For its other attributes see `Generator`, for
    labels `Conditional`, for what else it may be trained for `WithObjective`, and for training on
    refined codes `WithRefinement`.

    Examples:
        >>> model = VAE(image_shape=(28, 28, 1), latent_dim=16)
        >>> x = jnp.zeros((4, 28, 28, 1))
        >>> variables = model.init(jax.random.key(0), x)
        >>> model.apply(variables, x, method="encode").shape
        (4, 16)

    References:
        Kingma & Welling, "Auto-Encoding Variational Bayes", 2013.
    """

    is_sparse = False
    fixed = frozenset({"beta"})

    beta: float = 1.0

    def setup(self) -> None:
        super().setup()
        self.encoder = BODIES[self.body][0](self.widths, self.dtype)
        self.mu_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        if self.has_noise:
            self.logvar_head = nn.Dense(self.latent_dim, dtype=self.dtype, **self._logvar_start)

    @property
    def _logvar_start(self) -> dict[str, Any]:
        """How the head of the log-variances starts, where not as other layers."""
        return {}

    def posterior(self, x_BxHxWxC: Array, label_B: Array | None = None) -> tuple[Array, Array]:
        """(mu_BxD, logvar_BxD) of the posterior, before any mask; without noise logvar is 0."""
        heads = self.heads(x_BxHxWxC, label_B)
        return heads.mu_BxD, heads.logvar_BxD

    def heads(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Heads:
        """All that the encoder says of a batch."""
        h_BxF = self.encoder(self.standardized(x_BxHxWxC))
        return self._heads(self.conditioned(h_BxF, label_B))

    def _heads(self, h_BxF: Array) -> Heads:
        mu_BxD = self.mu_head(h_BxF).astype(jnp.float32)
        if not self.has_noise:
            return Heads(mu_BxD, jnp.zeros_like(mu_BxD))
        return Heads(mu_BxD, self.logvar_head(h_BxF).astype(jnp.float32))

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
        """The code that is decoded: z itself in a dense model.

        `progress` is that of training, for what is scheduled; None where nothing is trained.
        """
        return Code(z_BxD)

    def divergence(self, mu_BxD: Array, logvar_BxD: Array, code: Code) -> Array:
        """The KL term of each example, kl_B; without noise |mu|^2 / 2, the KL at variance 1."""
        return gaussian_kl(mu_BxD, logvar_BxD, self.latent_reduction)

    def regularised(
        self,
        terms: dict[str, Array],
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        valid_B: Array | None,
        progress: ArrayLike,
    ) -> dict[str, Array]:
        """The terms of a training batch, with what is added to the bound: here nothing is."""
        return terms

    def observe(self, z_BxD: Array, valid_B: Array | None, label_B: Array | None = None) -> None:
        """Updates statistics of a training batch's codes, those that are decoded."""

    def latents(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Array:
        """The posterior means, before any mask."""
        return self.posterior(x_BxHxWxC, label_B)[0]

    def encode(
        self,
        x_BxHxWxC: Array,
        *,
        sample: bool = False,
        use_running_average: bool = True,
        label_B: Array | None = None,
    ) -> Array:
        heads = self.heads(x_BxHxWxC, label_B)
        z_BxD = self._sample(heads.mu_BxD, heads.logvar_BxD) if sample else heads.mu_BxD
        return self.bottleneck(z_BxD, *heads, use_running_average=use_running_average).z_BxD

    def reconstruct(
        self,
        x_BxHxWxC: Array,
        *,
        sample: bool = False,
        use_running_average: bool = True,
        label_B: Array | None = None,
    ) -> Array:
        z_BxD = self.encode(
            x_BxHxWxC, sample=sample, use_running_average=use_running_average, label_B=label_B
        )
        return self.decode(z_BxD, label_B)

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
        label_B: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """See `System.loss`; in training z is sampled, where there is noise (rng "latent").

        The terms have "kl", without its beta. In training a sparse model adds "agreement", that of
        its batch's mask with the running one, and `train_refined` "refined", its share of the loss.
        `label_B` are the classes of the images, int32; None: they are unknown.
        """
        if train:
            label_B = self._shown(label_B)
        heads = self.heads(x_BxHxWxC, label_B)
        mu_BxD, logvar_BxD, _ = heads
        z_BxD = self._sample(mu_BxD, logvar_BxD) if train else mu_BxD
        code = self.bottleneck(
            z_BxD,
            *heads,
            valid_B=valid_B,
            use_running_average=not train,
            progress=progress if train else None,
        )
        kl_B = self.divergence(mu_BxD, logvar_BxD, code)
        if train and self.objective == "iwae":
            mask_BxD = None if code.selection is None else code.selection.mask_BxD
            terms = self._importance_weighted(
                mu_BxD, logvar_BxD, kl_B, mask_BxD, target_BxHxWxC, valid_B, progress, label_B
            )
        else:
            seen_BxI = self.seen(code.z_BxD, label_B, code.mask_BxD)
            terms = self._bound(seen_BxI, kl_B, target_BxHxWxC, valid_B, progress)
            terms = self._with_objective(
                terms, z_BxD, code.z_BxD, valid_B, progress, train, label_B
            )
        if train:
            if code.penalty is not None:
                terms["loss"] += code.penalty
            if self.train_refined:
                terms["refined"] = self._refined_reconstruction(
                    x_BxHxWxC, target_BxHxWxC, valid_B, progress, label_B
                )
                terms["loss"] += terms["refined"]
            self.observe(code.z_BxD, valid_B, label_B)
            if code.selection is not None:
                terms["agreement"] = jnp.asarray(code.selection.agreement)
            terms = self.regularised(terms, code.z_BxD, mu_BxD, logvar_BxD, valid_B, progress)
        return terms["loss"], terms

    def _sample(self, mu_BxD: Array, logvar_BxD: Array) -> Array:
        if not self.has_noise:
            return mu_BxD
        eps_BxD = jax.random.normal(self.make_rng("latent"), mu_BxD.shape, jnp.float32)
        return mu_BxD + jnp.exp(0.5 * logvar_BxD) * eps_BxD


class BetaVAE(VAE):
    """A VAE whose KL term is weighted, by default as in the paper.

    Examples:
        >>> BetaVAE(image_shape=(28, 28, 1), latent_dim=64).beta
        0.001

    References:
        Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
        Framework", ICLR 2017. Byeon & Lee, section 2.3 (beta = 0.001).
    """

    fixed = frozenset()

    beta: Annotated[float, Ge(0)] = Generator.beta
    """Weight of the KL term."""
