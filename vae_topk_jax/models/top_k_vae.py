"""The batch Top-K VAE, the paper's and its variants."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK, SelectionRule
from vae_topk_jax.losses import KLMode, masked_kl, spike_and_slab_kl
from vae_topk_jax.models.vae import BetaVAE, Code
from vae_topk_jax.scores import Score
from vae_topk_jax.selection import annealed_k
from vae_topk_jax.sensitivity import DecoderSensitivity


class TopKVAE(BetaVAE):
    """A beta-VAE whose decoder sees k of the D latents.

    As the paper has it, the batch keeps the k most important dimensions and the KL is taken over
    all D, before the mask. The attributes below are what else one may want; each does nothing at
    its default.

    Attributes:
        k, importance, ema_decay, selection, score, hysteresis, straight_through: see
            `vae_topk_jax.BatchTopK`.
        k_anneal: share of the run over which the number of latents that pass falls geometrically
            from D to k.
        freeze_after: share of the run after which training batches are masked as at inference.
        nested: draw that number anew for each batch, log-uniform from 1 to D, so that one model
            serves every k (by dimension or per sample).
        revival: weight of a second reconstruction, in which the latents of dead dimensions are
            added to the code, that held constant: what is left of the image is theirs to explain.
        kl_mode: "gaussian", or "spike_and_slab" with k / D as the prior's share of active latents.
        kl_inactive: weight of the KL of the masked entries (see `losses.masked_kl`).
        sensitivity_every: multiply importances and scores by the decoder's sensitivity, estimated
            on every so many batches; 0: do not.

    Examples:
        >>> model = TopKVAE(image_shape=(28, 28, 1), latent_dim=64, k=8)
        >>> x = jax.random.uniform(jax.random.key(0), (4, 28, 28, 1))
        >>> variables = model.init(jax.random.key(1), x)
        >>> (loss, terms), stats = model.apply(
        ...     variables, x, x, train=True, method="loss",
        ...     rngs={"latent": jax.random.key(2)}, mutable="batch_stats",
        ... )
        >>> codes = model.apply({**variables, **stats}, x, method="encode")
        >>> (codes != 0).sum(axis=1).tolist()
        [8, 8, 8, 8]

    References:
        Byeon & Lee, "A Study on Batch Top-K Sparse Latent Representations with EMA-Based Inference
        in VAE-Based Models". Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022
        (nested). Gao et al., "Scaling and evaluating sparse autoencoders", 2024 (revival).
    """

    k: int = 8
    importance: str | Callable[..., Array] = "kl"
    ema_decay: float = 0.99
    selection: SelectionRule = "dimension"
    score: str | Score = "abs_mu"
    hysteresis: float = 0.0
    straight_through: bool = False
    k_anneal: float = 0.0
    freeze_after: float = 1.0
    nested: bool = False
    revival: float = 0.0
    kl_mode: KLMode = "gaussian"
    kl_inactive: float = 1.0
    sensitivity_every: int = 0

    def setup(self) -> None:
        super().setup()
        self.batch_top_k = BatchTopK(
            self.k,
            self.importance,
            self.ema_decay,
            selection=self.selection,
            score=self.score,
            hysteresis=self.hysteresis,
            straight_through=self.straight_through,
        )
        if self.sensitivity_every:
            self.sensitivity = DecoderSensitivity(
                self.latent_dim, self.sensitivity_every, self.ema_decay
            )

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
        """z with all but k latents set to zero, and the selection."""
        freezes = progress is not None and self.freeze_after < 1.0
        selection = self.batch_top_k.select(
            z_BxD,
            mu_BxD,
            logvar_BxD,
            valid_B=valid_B,
            use_running_average=use_running_average,
            count=None if progress is None else self._count(progress),
            frozen=jnp.asarray(progress) >= self.freeze_after if freezes else None,
            weight_D=self._weight(),
        )
        return Code(self.batch_top_k.apply_selection(z_BxD, selection), selection)

    def scores(self, x_BxHxWxC: Array) -> Array:
        """score_BxD, by which the entries of an image are ranked at inference: `score` times the
        decoder's relative sensitivity. (By dimension the running importance ranks instead.)"""
        mu_BxD, logvar_BxD = self.posterior(x_BxHxWxC)
        return self.batch_top_k.scores(mu_BxD, mu_BxD, logvar_BxD, self._weight())

    def divergence(self, mu_BxD: Array, logvar_BxD: Array, code: Code) -> Array:
        """The KL term of each example, in the mode that was asked for."""
        assert code.selection is not None
        if self.kl_mode == "spike_and_slab":
            rate = self.k / self.latent_dim
            gate_BxD = code.selection.gate_BxD
            return spike_and_slab_kl(mu_BxD, logvar_BxD, gate_BxD, rate, self.latent_reduction)
        if self.kl_inactive == 1.0:
            return super().divergence(mu_BxD, logvar_BxD, code)
        mask_BxD = code.selection.mask_BxD
        return masked_kl(mu_BxD, logvar_BxD, mask_BxD, self.kl_inactive, self.latent_reduction)

    def auxiliary(
        self,
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        code: Code,
        target_BxHxWxC: Array,
        valid_B: Array | None,
    ) -> dict[str, Array]:
        """The revival term. The decoder's sensitivity is observed here as well."""
        if self.sensitivity_every:
            key = self.make_rng("latent")
            self.sensitivity.observe(self._pure_decoder(), code.z_BxD, key, valid_B)
        if not self.revival:
            return {}
        dead_BxD = self.batch_top_k.dead_code(z_BxD, mu_BxD, logvar_BxD)
        together_BxD = jax.lax.stop_gradient(code.z_BxD) + dead_BxD
        again = self._reconstruction_loss(together_BxD, target_BxHxWxC, valid_B)
        return {"revival": self.revival * again}

    def _count(self, progress: ArrayLike) -> Array | None:
        """How many latents pass in training; None for k throughout."""
        if self.nested:
            exponent = jax.random.uniform(self.make_rng("latent"))
            return jnp.floor(jnp.power(self.latent_dim + 1.0, exponent))
        if self.k_anneal:
            return annealed_k(self.k, self.latent_dim, progress, self.k_anneal)
        return None

    def _weight(self) -> Array | None:
        """The decoder's sensitivity over its mean, so that scores keep their scale; None where it
        does not weigh."""
        if not self.sensitivity_every:
            return None
        sensitivity_D = self.sensitivity()
        return sensitivity_D / jnp.maximum(jnp.mean(sensitivity_D), 1e-12)

    def _pure_decoder(self) -> Callable[[Array], Array]:
        """decode as a function that jax may transform."""
        decoder, variables = self.decoder.unbind()
        return lambda z_BxD: jax.nn.sigmoid(jnp.asarray(decoder.apply(variables, z_BxD)))
