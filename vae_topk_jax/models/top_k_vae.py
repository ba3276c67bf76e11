"""The batch Top-K VAE, the paper's and its variants."""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.fields import OneOf
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.losses import masked_kl
from vae_topk_jax.models.system import check_k
from vae_topk_jax.models.vae import BetaVAE, Code
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.scores import SCORES, Score
from vae_topk_jax.selection import annealed_k, apply_mask
from vae_topk_jax.sensitivity import DecoderSensitivity


class TopKVAE(BetaVAE):
    """A beta-VAE whose decoder sees k of the D latents.

    As the paper has it, the batch keeps the k most important dimensions and the KL is taken over
    all D, before the mask. The default selects by element and weighs scores by the decoder's
    sensitivity; the literal paper is `selection="dimension", importance="mean_abs_z",
    sensitivity_every=0`.

    Examples:
        >>> model = TopKVAE(image_shape=(28, 28, 1), latent_dim=64, k=8, selection="sample")
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
        (nested).
    """

    is_sparse = True

    k: Annotated[int, Ge(1)] = 8
    """K, how many of the D latents pass the mask."""
    selection: SelectionRule = "element"
    """What the K are: B * K entries of the batch by element, K entries of each image per sample, or
    the batch's K dimensions by dimension, which is the paper's."""
    importance: Annotated[str | Callable[..., Array], OneOf(IMPORTANCES)] = "kl"
    """What ranks dimensions, by dimension; "mean_abs_z" is the paper's literal rule."""
    score: Annotated[str | Score, OneOf(SCORES)] = "abs_mu"
    """What ranks entries, by element and per sample."""
    ema_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """Decay of the running averages per step."""
    k_anneal: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Fraction of training over which the number of latents that pass falls geometrically from D
    to K."""
    nested: bool = False
    """Draw the number of latents that pass anew for each batch, log-uniform from 1 to D, so that
    one model serves every K (by dimension or per sample)."""
    sensitivity_every: Annotated[int, Ge(0)] = 10
    """Multiply importances and scores by the decoder's sensitivity to the dimension, estimated on
    every so many batches; 0: do not."""
    kl_inactive: Annotated[float, Ge(0)] = 1.0
    """Weight of the KL of masked entries beside that of active ones: 1 is the paper's KL before the
    mask, 0 leaves them free, more pulls them to the prior."""

    cap: bool = False
    """By element, let at most K latents of an image pass at inference, the largest of those above
    the threshold; without it images unlike those of training may have many more."""

    def check(self) -> None:
        super().check()
        if self.cap and self.selection != "element":
            raise ValueError(f"cap must be False by {self.selection}, which keeps K, got True")
        check_k(self.k, self.latent_dim)
        if self.nested and (self.selection == "element" or self.k_anneal):
            raise ValueError(
                "nested must be False by element (a threshold serves one K) and with k_anneal, "
                "got True"
            )

    @property
    def summary(self) -> str:
        return f"K = {self.k} of {self.latent_dim}, by {self.selection}"

    def setup(self) -> None:
        super().setup()
        self.batch_top_k = BatchTopK(
            self.k,
            self.importance,
            self.ema_decay,
            selection=self.selection,
            score=self.score,
            cap=self.cap,
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
        selection = self.batch_top_k.select(
            z_BxD,
            mu_BxD,
            logvar_BxD,
            valid_B=valid_B,
            use_running_average=use_running_average,
            count=None if progress is None else self._count(progress),
            weight_D=self._weight(),
        )
        return Code(apply_mask(z_BxD, selection.mask_BxD), selection)

    def scores(self, x_BxHxWxC: Array) -> Array:
        """score_BxD, by which the entries of an image are ranked at inference: `score` times the
        decoder's relative sensitivity. (By dimension the running importance ranks instead.)"""
        mu_BxD, logvar_BxD = self.posterior(x_BxHxWxC)
        return self.batch_top_k.scores(mu_BxD, mu_BxD, logvar_BxD, self._weight())

    def swaps(self) -> Array | None:
        """None by dimension, whose K dimensions are those of all images; else any."""
        if self.selection != "dimension":
            return None
        return jnp.zeros((self.latent_dim, self.latent_dim), bool)

    def divergence(self, mu_BxD: Array, logvar_BxD: Array, code: Code) -> Array:
        """The KL term of each example, that of masked entries weighted by `kl_inactive`."""
        assert code.selection is not None
        if self.kl_inactive == 1.0:
            return super().divergence(mu_BxD, logvar_BxD, code)
        mask_BxD = code.selection.mask_BxD
        return masked_kl(mu_BxD, logvar_BxD, mask_BxD, self.kl_inactive, self.latent_reduction)

    def observe(self, z_BxD: Array, valid_B: Array | None) -> None:
        """Estimates the decoder's sensitivity at the codes, every `sensitivity_every` batches."""
        if self.sensitivity_every:
            key = self.make_rng("latent")
            self.sensitivity.observe(self._pure_decoder(), z_BxD, key, valid_B)

    def _count(self, progress: ArrayLike) -> Array | None:
        """How many latents pass in training; None for k throughout."""
        if self.nested:
            exponent = jax.random.uniform(self.make_rng("latent"), (), jnp.float32)
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
        """The mean of the standardised inputs as a function of codes that jax may transform."""
        decoder, variables = self.decoder.unbind()
        mean = self.rule.mean
        return lambda z_BxD: mean(jnp.asarray(decoder.apply(variables, z_BxD)))
