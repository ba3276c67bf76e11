"""The ladder VAE: levels of sparse latents, the lower ones conditioned on those above."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.fields import OneOf
from vae_topk_jax.importance import IMPORTANCES, batch_mean
from vae_topk_jax.losses import gaussian_kl
from vae_topk_jax.models.generator import Generator
from vae_topk_jax.networks import BODIES
from vae_topk_jax.priors.independent import sample_normal
from vae_topk_jax.scores import SCORES, Score
from vae_topk_jax.selection import apply_mask, batch_top_k_mask
from vae_topk_jax.sensitivity import DecoderSensitivity
from vae_topk_jax.statistics import TopKStatistics

# The log-variance of a level's prior lies between minus and plus this.
LARGEST_LOGVAR = 4.0


class Above(NamedTuple):
    """What a level knows of those above it, and its prior, N(mean, exp(logvar)).

    Attributes:
        context_BxF: None at the top level.
        mean_BxD, logvar_BxD: of the prior.
    """

    context_BxF: Array | None
    mean_BxD: Array
    logvar_BxD: Array

    @classmethod
    def none(cls, batch: int, size: int) -> "Above":
        """That of the top level, of so many latents: N(0, I)."""
        zeros_BxD = jnp.zeros((batch, size), jnp.float32)
        return cls(None, zeros_BxD, zeros_BxD)

    def beside(self, h_BxF: Array) -> Array:
        """Features, and beside them what is known of the levels above."""
        if self.context_BxF is None:
            return h_BxF
        return jnp.concatenate([h_BxF, self.context_BxF.astype(h_BxF.dtype)], axis=-1)


class LevelPrior(nn.Module):
    """The prior of a level, N(m, s^2), from the codes of the levels above it.

        c = ReLU(W (z, c')),    (m, log s^2) = linear maps of c

    with the codes z of the level above and what that one knew, c'. The maps start at zero, and the
    prior with them at N(0, I).

    Attributes:
        size: how many latents the level has.
        width: of c.
        dtype: of the layers' arithmetic.
    """

    size: int
    width: int
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, code_BxD: Array, above: Above) -> Above:
        seen_BxF = above.beside(code_BxD.astype(self.dtype))
        context_BxF = nn.relu(nn.Dense(self.width, dtype=self.dtype)(seen_BxF))
        mean_BxD, raw_BxD = (
            nn.Dense(self.size, dtype=self.dtype, kernel_init=nn.initializers.zeros)(context_BxF)
            for _ in range(2)
        )
        logvar_BxD = LARGEST_LOGVAR * jnp.tanh(raw_BxD.astype(jnp.float32) / LARGEST_LOGVAR)
        return Above(context_BxF, mean_BxD.astype(jnp.float32), logvar_BxD)


class Level(NamedTuple):
    """What inference finds at one level, of the D_l latents there.

    Attributes:
        mu_BxD, logvar_BxD: of the posterior, before the mask.
        code_BxD: the latents, zero where they were masked.
        above: the prior.
        agreement: as in `Selection`.
    """

    mu_BxD: Array
    logvar_BxD: Array
    code_BxD: Array
    above: Above
    agreement: Array | float

    def kl(self) -> Array:
        """kl_B, nats of the posterior to the prior, before the mask."""
        scaled_BxD = (self.mu_BxD - self.above.mean_BxD) * jnp.exp(-0.5 * self.above.logvar_BxD)
        return gaussian_kl(scaled_BxD, self.logvar_BxD - self.above.logvar_BxD, "sum")


class LadderVAE(Generator):
    """A VAE of two or more levels of latents, each with a `BatchTopK` and a K of its own.

    The prior of a level is a function of the codes above it, and so is its posterior, which sees
    the image as well; the decoder sees the codes of all levels:

        p(z_1) = N(0, I),    p(z_l | z_<l) = N(m(z_<l), s(z_<l)^2)
        z_l = mask_l * (mu_l + sigma_l eps),    (mu_l, sigma_l) = posterior_l(encoder(x), z_<l)
        loss = reconstruction(decoder(z_1, ..., z_L), x) + beta sum_l max(free_bits, KL_l)

    Level 1 is the top one. All posteriors see the last layer of the encoder, and lower ones beside
    it what the prior of their level is made of. The KL is taken before the mask, and its average
    over the batch counts from `free_bits` on. Codes are (z_1, ..., z_L), (B, D), so that whatever
    is done with codes is done with these; refinement takes the prior of all levels for N(0, I).
    `generate` draws a level given those above it.

    Examples:
        >>> model = LadderVAE(latent_dim=8, levels=(2, 6), level_k=(1, 3))
        >>> model.summary, [len(latents) for latents in model.by_level(jnp.arange(8))]
        ('K = 1 of 2, 3 of 6, by element', [2, 6])

    References:
        Sonderby et al., "Ladder Variational Autoencoders", NeurIPS 2016 (inference from the top
        down). Vahdat & Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020
        (features of the input and of the levels above, combined by layers). Kingma et al.,
        "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS 2016 (free bits).
    """

    levels: Annotated[tuple[int, ...], Ge(1)] = (16, 48)
    """How many latents each level has, the top level first; latent_dim must be their sum."""
    level_k: Annotated[tuple[int, ...], Ge(1)] = (4, 8)
    """K of each level, how many of its latents pass the mask; a level that passes all is dense."""
    selection: Literal["element", "dimension", "sample"] = "element"
    """What the K of a level are: B * K entries of the batch by element, K entries of each image per
    sample, or by dimension the batch's K dimensions."""
    importance: Annotated[str | Callable[..., Array], OneOf(IMPORTANCES)] = "kl"
    """What ranks dimensions, by dimension."""
    score: Annotated[str | Score, OneOf(SCORES)] = "abs_mu"
    """What ranks entries, by element and per sample."""
    ema_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """Decay of the running averages per step."""
    sensitivity_every: Annotated[int, Ge(0)] = 10
    """Multiply importances and scores by the decoder's sensitivity to the latent, estimated on
    every so many batches; 0: do not."""
    free_bits: Annotated[float, Ge(0)] = 0.0
    """Nats of each level's KL that cost nothing, of the average over a batch."""

    def check(self) -> None:
        super().check()
        if len(self.levels) < 2:
            raise ValueError(f"levels must be two or more, got {self.levels}")
        if sum(self.levels) != self.latent_dim:
            raise ValueError(
                f"levels must add up to latent_dim, {self.latent_dim}, got {self.levels}, which "
                f"are {sum(self.levels)}"
            )
        if len(self.level_k) != len(self.levels):
            raise ValueError(
                f"level_k must have one K for each of {len(self.levels)} levels, got {self.level_k}"
            )
        if any(k > size for k, size in zip(self.level_k, self.levels, strict=True)):
            raise ValueError(f"level_k must be at most levels, {self.levels}, got {self.level_k}")

    @property
    def summary(self) -> str:
        sizes = zip(self.level_k, self.levels, strict=True)
        return f"K = {', '.join(f'{k} of {size}' for k, size in sizes)}, by {self.selection}"

    def setup(self) -> None:
        super().setup()
        width = self.widths[-1]
        self.encoder = BODIES[self.body][0](self.widths, self.dtype)
        self.mu_head = [nn.Dense(size, dtype=self.dtype) for size in self.levels]
        self.logvar_head = [nn.Dense(size, dtype=self.dtype) for size in self.levels]
        self.level_prior = [LevelPrior(size, width, self.dtype) for size in self.levels[1:]]
        self.batch_top_k = [
            BatchTopK(
                k, self.importance, self.ema_decay, selection=self.selection, score=self.score
            )
            for k in self.level_k
        ]
        if self.sensitivity_every:
            self.sensitivity = DecoderSensitivity(
                self.latent_dim, self.sensitivity_every, self.ema_decay
            )

    def by_level(self, value_xD: Any) -> list:
        """The parts of an array of the latents, (..., D), that belong to each level, the top first.

        Examples:
            >>> model = LadderVAE(latent_dim=3, levels=(1, 2), level_k=(1, 1))
            >>> [part.tolist() for part in model.by_level(jnp.arange(3))]
            [[0], [1, 2]]
        """
        ends = [sum(self.levels[: n + 1]) for n in range(len(self.levels))]
        bounds = zip([0, *ends], ends, strict=False)
        return [value_xD[..., start:end] for start, end in bounds]

    def inferred(
        self,
        x_BxHxWxC: Array,
        *,
        sample: bool,
        use_running_average: bool,
        valid_B: Array | None = None,
    ) -> list[Level]:
        """What is found at each level, from the top down; arguments as in `encode`."""
        h_BxF = self.encoder(self.standardized(x_BxHxWxC))
        above = Above.none(x_BxHxWxC.shape[0], self.levels[0])
        found: list[Level] = []
        for number, weight_D in enumerate(self._weights()):
            if found:
                above = self.level_prior[number - 1](found[-1].code_BxD, above)
            seen_BxF = above.beside(h_BxF)
            mu_BxD = self.mu_head[number](seen_BxF).astype(jnp.float32)
            logvar_BxD = self.logvar_head[number](seen_BxF).astype(jnp.float32)
            z_BxD = mu_BxD
            if sample:
                eps_BxD = jax.random.normal(self.make_rng("latent"), mu_BxD.shape, jnp.float32)
                z_BxD = mu_BxD + jnp.exp(0.5 * logvar_BxD) * eps_BxD
            selection = self.batch_top_k[number].select(
                z_BxD,
                mu_BxD,
                logvar_BxD,
                valid_B=valid_B,
                use_running_average=use_running_average,
                weight_D=weight_D,
            )
            code_BxD = apply_mask(z_BxD, selection.mask_BxD)
            found.append(Level(mu_BxD, logvar_BxD, code_BxD, above, selection.agreement))
        return found

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        found = self.inferred(x_BxHxWxC, sample=sample, use_running_average=use_running_average)
        return jnp.concatenate([level.code_BxD for level in found], axis=-1)

    def latents(self, x_BxHxWxC: Array) -> Array:
        """The posterior means before the mask of their own level, where they alone make it; else
        the codes."""
        found = self.inferred(x_BxHxWxC, sample=False, use_running_average=True)
        kept = [
            level.mu_BxD if layer.rule.masks_by_means else level.code_BxD
            for layer, level in zip(self.batch_top_k, found, strict=True)
        ]
        return jnp.concatenate(kept, axis=-1)

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD through each level's mask of inference (`BatchTopK.sparsify`)."""
        kept = [
            layer.sparsify(level_BxD, weight_D)
            for layer, level_BxD, weight_D in zip(
                self.batch_top_k, self.by_level(z_BxD), self._weights(), strict=True
            )
        ]
        return jnp.concatenate(kept, axis=-1)

    def prior(self, n: int, frequency_D: Array) -> Array:
        """n codes from the prior, level by level, each latent active as often as in training."""
        above = Above.none(n, self.levels[0])
        codes: list[Array] = []
        for number, frequency_of_level_D in enumerate(self.by_level(frequency_D)):
            if codes:
                above = self.level_prior[number - 1](codes[-1], above)
            std_NxD = jnp.exp(0.5 * above.logvar_BxD)
            key = self.make_rng("latent")
            codes.append(sample_normal(key, above.mean_BxD, std_NxD, frequency_of_level_D))
        return jnp.concatenate(codes, axis=-1)

    def frequency(self, statistics: TopKStatistics) -> Array:
        if self.selection != "dimension":
            return super().frequency(statistics)
        importances = self.by_level(statistics.importance)
        return jnp.concatenate(
            [batch_top_k_mask(x_D, k) for x_D, k in zip(importances, self.level_k, strict=True)]
        )

    def swaps(self) -> Array:
        """By dimension none, since the K dimensions are those of all images; else any of a level
        for any other of that level."""
        level_D = np.repeat(np.arange(len(self.levels)), self.levels)
        return jnp.asarray((level_D[:, None] == level_D[None]) & (self.selection != "dimension"))

    def loss(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None = None,
        *,
        train: bool,
        progress: ArrayLike = 1.0,
    ) -> tuple[Array, dict[str, Array]]:
        """See `System.loss`; in training latents are sampled (needs the rng "latent").

        The terms have "kl", without its beta and free bits, and its parts "kl_1", ..., the top
        level first; in training also "agreement", that of the batches' masks with the running ones.
        """
        found = self.inferred(
            x_BxHxWxC, sample=train, use_running_average=not train, valid_B=valid_B
        )
        z_BxD = jnp.concatenate([level.code_BxD for level in found], axis=-1)
        unit = self.latent_dim if self.latent_reduction == "mean" else 1
        kl_BxL = jnp.stack([level.kl() for level in found], axis=1) / unit
        terms = self._bound(z_BxD, jnp.sum(kl_BxL, axis=1), target_BxHxWxC, valid_B, progress)
        kl_L = batch_mean(kl_BxL, valid_B)
        terms |= {f"kl_{number}": kl for number, kl in enumerate(kl_L, start=1)}
        if self.free_bits:
            free = jnp.sum(nn.relu(self.free_bits / unit - kl_L))
            terms["loss"] += self._warmed_up_beta(progress) * free
        if train:
            if self.sensitivity_every:
                key = self.make_rng("latent")
                self.sensitivity.observe(self._pure_decoder(), z_BxD, key, valid_B)
            terms["agreement"] = jnp.mean(jnp.stack([jnp.asarray(x.agreement) for x in found]))
        return terms["loss"], terms

    def _weights(self) -> Sequence[Array | None]:
        """The decoder's sensitivity to the latents of each level over its mean there; None where it
        does not weigh."""
        if not self.sensitivity_every:
            return [None] * len(self.levels)
        return [
            x_D / jnp.maximum(jnp.mean(x_D), 1e-12) for x_D in self.by_level(self.sensitivity())
        ]

    def _pure_decoder(self) -> Callable[[Array], Array]:
        """The mean of the standardised inputs as a function of codes that jax may transform."""
        decoder, variables = self.decoder.unbind()
        mean = self.rule.mean
        return lambda z_BxD: mean(jnp.asarray(decoder.apply(variables, z_BxD)))
