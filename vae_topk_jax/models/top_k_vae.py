"""The batch Top-K VAE, the paper's and its variants."""

from collections.abc import Callable
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.fields import OneOf
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.losses import masked_kl
from vae_topk_jax.models.system import check_k
from vae_topk_jax.models.vae import BetaVAE, Code, Heads
from vae_topk_jax.priors.independent import sample_slots
from vae_topk_jax.rule import SelectionRule
from vae_topk_jax.scores import SCORES, Score
from vae_topk_jax.selection import annealed_k, apply_mask, batch_top_k_mask
from vae_topk_jax.sensitivity import DecoderSensitivity
from vae_topk_jax.slots import check_slots, slot_imbalance, slot_softmax
from vae_topk_jax.statistics import TopKStatistics

# Of the posterior at the start of training by slot: with the prior's variance of 1 the latents are
# noise for so long that the same ones of each group are chosen for all images.
START_LOGVAR = -2.0


class TopKVAE(BetaVAE):
    """A beta-VAE whose decoder sees k of the D latents.

    As the paper has it, the batch keeps the k most important dimensions and the KL is taken over
    all D, before the mask. The default selects by element and weighs scores by the decoder's
    sensitivity; the literal paper is `selection="dimension", importance="mean_abs_z",
    sensitivity_every=0`.

    By slot the encoder has a head of logits l besides, K groups of D / K, and

        mask = one-hot argmax of each group of l + g / T,    g ~ Gumbel(0, 1) in training, else 0
        loss = reconstruction + beta KL + choice_balance (log(D / K) - entropy of the mean softmax)

    T being `choice_temperature` and the entropy that of a group, averaged over the groups. To
    differentiation the mask is the softmax of the same argument, so the logits of latents that were
    not chosen learn as well. With `mask_input` the decoder sees [z, z != 0], a function of z alone.

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
        (nested). Jang, Gu & Poole, "Categorical Reparameterization with Gumbel-Softmax", and
        Maddison, Mnih & Teh, "The Concrete Distribution", both ICLR 2017 (by slot).
    """

    is_sparse = True

    k: Annotated[int, Ge(1)] = 8
    """K, how many of the D latents pass the mask."""
    selection: SelectionRule = "element"
    """What the K are: B * K entries of the batch by element, K entries of each image per sample,
    the batch's K dimensions by dimension, which is the paper's, or by slot one of each K groups of
    D / K dimensions, which the encoder chooses."""
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
    every so many batches; 0: do not. By slot nothing is multiplied."""
    kl_inactive: Annotated[float, Ge(0)] = 1.0
    """Weight of the KL of masked entries beside that of active ones: 1 is the paper's KL before the
    mask, 0 leaves them free, more pulls them to the prior."""
    mask_input: bool = False
    """Let the decoder see which latents are active, z != 0, beside their values."""
    choice_temperature: Annotated[float, Gt(0)] = 2.0
    """Temperature of the Gumbel-softmax that draws the choice in training, by slot: what the noise
    of the logits is divided by."""
    choice_balance: Annotated[float, Ge(0)] = 0.001
    """Weight of the term that keeps all dimensions of a group in use, by slot; 0: none."""

    cap: bool = False
    """By element, let at most K latents of an image pass at inference, the largest of those above
    the threshold; without it images unlike those of training may have many more."""

    def check(self) -> None:
        super().check()
        if self.cap and self.selection != "element":
            raise ValueError(f"cap must be False by {self.selection}, which keeps K, got True")
        check_k(self.k, self.latent_dim)
        if self.nested and (self.selection in ("element", "slot") or self.k_anneal):
            raise ValueError(
                "nested must be False by element (a threshold serves one K), by slot and with "
                "k_anneal, got True"
            )
        if self.selection == "slot":
            check_slots(self.k, self.latent_dim)
            if self.k_anneal:
                raise ValueError(f"k_anneal must be 0 by slot, got {self.k_anneal}")
        self._check_objective()

    def _check_objective(self) -> None:
        if self.objective == "iwae" and self.selection != "dimension":
            raise ValueError(
                "objective must not be 'iwae' by "
                f"{self.selection}: a mask of the image's own is no part of the likelihood"
            )
        if self.objective in ("iwae", "wae") and self.kl_inactive != 1.0:
            raise ValueError(
                f"kl_inactive must be 1 with objective {self.objective!r}, got {self.kl_inactive}"
            )
        if self.score == "one_minus_sigma" and not self.has_noise:
            raise ValueError(
                f"score must not be 'one_minus_sigma' with objective {self.objective!r}, "
                "which has no sigma"
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
        if self.selection == "slot":
            self.choice_head = nn.Dense(self.latent_dim, dtype=self.dtype)
        if self._is_weighted:
            self.sensitivity = DecoderSensitivity(
                self.latent_dim, self.sensitivity_every, self.ema_decay
            )

    @property
    def _logvar_start(self) -> dict[str, Any]:
        if self.selection != "slot":
            return super()._logvar_start
        bias_init = nn.initializers.constant(START_LOGVAR)
        return {"kernel_init": nn.initializers.zeros, "bias_init": bias_init}

    def _heads(self, h_BxF: Array) -> Heads:
        heads = super()._heads(h_BxF)
        if self.selection != "slot":
            return heads
        return heads._replace(logits_BxD=self.choice_head(h_BxF).astype(jnp.float32))

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
        """z with all but k latents set to zero, and the selection."""
        trains = progress is not None
        soft_BxD = None if logits_BxD is None else self._soft_choice(logits_BxD, trains)
        selection = self.batch_top_k.select(
            z_BxD,
            mu_BxD,
            logvar_BxD,
            valid_B=valid_B,
            use_running_average=use_running_average,
            count=None if progress is None else self._count(progress),
            weight_D=self._weight(),
            score_BxD=soft_BxD,
        )
        kept_BxD = apply_mask(z_BxD, selection.mask_BxD)
        if logits_BxD is None or soft_BxD is None or not trains:
            return Code(kept_BxD, selection)
        slope_BxD = soft_BxD - jax.lax.stop_gradient(soft_BxD)  # zero, with a gradient
        imbalance = slot_imbalance(slot_softmax(logits_BxD, self.k), self.k, valid_B)
        return Code(
            kept_BxD + jax.lax.stop_gradient(z_BxD) * slope_BxD,
            selection,
            selection.mask_BxD + slope_BxD,
            self.choice_balance * imbalance,
        )

    def _soft_choice(self, logits_BxD: Array, trains: bool) -> Array:
        """The relaxed choice of each group; its largest entry is the one that passes."""
        if trains:
            gumbel_BxD = jax.random.gumbel(self.make_rng("latent"), logits_BxD.shape, jnp.float32)
            logits_BxD = logits_BxD + gumbel_BxD / self.choice_temperature
        return slot_softmax(logits_BxD, self.k)

    def decoder_input(self, z_BxD: Array, mask_BxD: Array | None = None) -> Array:
        """The codes, and with `mask_input` their support beside them."""
        if not self.mask_input:
            return z_BxD
        mask_BxD = z_BxD != 0 if mask_BxD is None else mask_BxD
        return jnp.concatenate([z_BxD, mask_BxD.astype(z_BxD.dtype)], axis=-1)

    def frequency(self, statistics: TopKStatistics) -> Array:
        if self.selection != "dimension":
            return super().frequency(statistics)
        return batch_top_k_mask(statistics.importance, self.k)

    def prior(self, n: int, frequency_D: Array) -> Array:
        if self.selection != "slot":
            return super().prior(n, frequency_D)
        return sample_slots(self.make_rng("latent"), n, frequency_D, self.k)

    def latents(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Array:
        """The posterior means before any mask, where they alone make the mask; else, by slot and
        where scores rest on the variance, the codes."""
        if self.batch_top_k.rule.masks_by_means:
            return super().latents(x_BxHxWxC, label_B)
        return self.encode(x_BxHxWxC, label_B=label_B)

    def sparsify(self, z_BxD: Array) -> Array:
        """See `BatchTopK.sparsify`."""
        return self.batch_top_k.sparsify(z_BxD, self._weight())

    def scores(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Array:
        """score_BxD, by which the entries of an image are ranked at inference: `score` times the
        decoder's relative sensitivity. (By dimension the running importance ranks instead.)"""
        mu_BxD, logvar_BxD, logits_BxD = self.heads(x_BxHxWxC, label_B)
        if logits_BxD is not None:
            return slot_softmax(logits_BxD, self.k)
        return self.batch_top_k.scores(mu_BxD, mu_BxD, logvar_BxD, self._weight())

    def swaps(self) -> Array | None:
        """By dimension none, since the K dimensions are those of all images; by slot within a
        group; else any for any."""
        if self.selection == "dimension":
            return jnp.zeros((self.latent_dim, self.latent_dim), bool)
        if self.selection == "slot":
            group_D = jnp.arange(self.latent_dim) // (self.latent_dim // self.k)
            return group_D[:, None] == group_D[None]
        return None

    def offers(self, x_BxHxWxC: Array, label_B: Array | None = None) -> Array | None:
        """By slot the means of the posterior: the encoder has one for each latent of a group."""
        return self.posterior(x_BxHxWxC, label_B)[0] if self.selection == "slot" else None

    def divergence(self, mu_BxD: Array, logvar_BxD: Array, code: Code) -> Array:
        """The KL term of each example, that of masked entries weighted by `kl_inactive`."""
        assert code.selection is not None
        if self.kl_inactive == 1.0:
            return super().divergence(mu_BxD, logvar_BxD, code)
        mask_BxD = code.selection.mask_BxD
        return masked_kl(mu_BxD, logvar_BxD, mask_BxD, self.kl_inactive, self.latent_reduction)

    def observe(self, z_BxD: Array, valid_B: Array | None, label_B: Array | None = None) -> None:
        """Estimates the decoder's sensitivity at the codes, every `sensitivity_every` batches."""
        if self._is_weighted:
            key = self.make_rng("latent")
            self.sensitivity.observe(self._pure_decoder(label_B), z_BxD, key, valid_B)

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
        if not self._is_weighted:
            return None
        sensitivity_D = self.sensitivity()
        return sensitivity_D / jnp.maximum(jnp.mean(sensitivity_D), 1e-12)

    @property
    def _is_weighted(self) -> bool:
        return self.sensitivity_every > 0 and self.selection != "slot"
