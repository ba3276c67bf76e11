"""The ladder VAE: levels of sparse latents, the lower ones conditioned on those above."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from annotated_types import Ge, Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.fields import OneOf
from vae_topk_jax.importance import IMPORTANCES
from vae_topk_jax.losses import batch_average, gaussian_kl
from vae_topk_jax.models.generator import Generator
from vae_topk_jax.networks import BODIES
from vae_topk_jax.scores import SCORES, Score
from vae_topk_jax.selection import apply_mask, batch_top_k_mask
from vae_topk_jax.sensitivity import DecoderSensitivity
from vae_topk_jax.statistics import TopKStatistics
from vae_topk_jax.top_down import Posterior, TopDown


class Level(NamedTuple):
    """What inference finds at one level, of the D_l latents there.

    Attributes:
        mu_BxD, logvar_BxD: of the posterior, before the mask.
        code_BxD: the latents, zero where they were masked.
        agreement: as in `Selection`.
    """

    mu_BxD: Array
    logvar_BxD: Array
    code_BxD: Array
    agreement: Array | float


class LadderVAE(Generator):
    """A VAE of two or more levels of latents, each with a `BatchTopK` and a K of its own.

    The prior of a level is a function of the levels above it, and so is its posterior, which sees
    the image as well:

        p(z_1) = N(0, I),    p(z_l | z_<l) = N(m_l, s_l^2),    (m_l, s_l) = prior(z_1, ..., z_{l-1})
        z_l = m_l + s_l u_l,    q(u_l | x, z_<l) = N(mu_l, sigma_l^2)
        loss = reconstruction(decoder(z_1, ..., z_L), x)
               + beta sum_l max(free_bits, KL(N(mu_l, sigma_l^2) || N(0, I)))

    Level 1 is the top one: its posterior sees the deepest features of the encoder, that of a lower
    level shallower features and the levels above. The decoder sees all levels.

    Codes are u = (u_1, ..., u_L), (B, D), the latents in units of their prior: an exact zero is a
    latent that rests where the levels above expect it, and the prior of all of u is N(0, I). So
    `decode` goes through the levels from the top down, and so does `generate`. The KL is that of z
    to its prior, before the mask, and its average over the batch counts from `free_bits` on.

    Examples:
        >>> model = LadderVAE(image_shape=(8, 8, 1), latent_dim=8, levels=(2, 6), level_k=(1, 3))
        >>> x = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1))
        >>> variables = model.init(jax.random.key(1), x)
        >>> codes_BxD, _ = model.apply(
        ...     variables, x, use_running_average=False, method="encode", mutable="batch_stats"
        ... )
        >>> [int((code_BxD != 0).sum()) for code_BxD in model.by_level(codes_BxD)]
        [4, 12]

    References:
        Sonderby et al., "Ladder Variational Autoencoders", NeurIPS 2016 (inference from the top
        down, with what was found from the bottom up). Vahdat & Kautz, "NVAE: A Deep Hierarchical
        Variational Autoencoder", NeurIPS 2020 (a posterior relative to its prior). Kingma et al.,
        "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS 2016 (free bits).
    """

    latent_dim: Annotated[int, Ge(1)] = 64
    """D, the number of latents of all levels together."""
    levels: Annotated[tuple[int, ...], Ge(1)] = (16, 48)
    """How many latents each level has, the top level first; latent_dim is their sum."""
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
        self.climb = [nn.Dense(width, dtype=self.dtype) for _ in self.levels[1:]]
        self.posteriors = [Posterior(size, width, self.dtype) for size in self.levels]
        self.top_down = TopDown(self.levels, width, self.dtype)
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
        features = [self.encoder(self.standardized(x_BxHxWxC))]
        for layer in self.climb:
            features.append(nn.relu(layer(features[-1])))
        context_BxF, z_BxD, found = None, None, []
        for level, weight_D in enumerate(self._weights()):
            if z_BxD is not None:
                context_BxF = self.top_down.context(level, z_BxD, context_BxF)
            mu_BxD, logvar_BxD = self.posteriors[level](features.pop(), context_BxF)
            u_BxD = mu_BxD
            if sample:
                eps_BxD = jax.random.normal(self.make_rng("latent"), mu_BxD.shape, jnp.float32)
                u_BxD = mu_BxD + jnp.exp(0.5 * logvar_BxD) * eps_BxD
            selection = self.batch_top_k[level].select(
                u_BxD,
                mu_BxD,
                logvar_BxD,
                valid_B=valid_B,
                use_running_average=use_running_average,
                weight_D=weight_D,
            )
            code_BxD = apply_mask(u_BxD, selection.mask_BxD)
            z_BxD = self.top_down.placed(level, code_BxD, context_BxF)
            found.append(Level(mu_BxD, logvar_BxD, code_BxD, selection.agreement))
        return found

    def decoder_input(self, z_BxD: Array, mask_BxD: Array | None = None) -> Array:
        """The latents themselves, (z_1, ..., z_L), of codes."""
        return self.top_down(z_BxD)

    def encode(
        self, x_BxHxWxC: Array, *, sample: bool = False, use_running_average: bool = True
    ) -> Array:
        found = self.inferred(x_BxHxWxC, sample=sample, use_running_average=use_running_average)
        return jnp.concatenate([level.code_BxD for level in found], axis=-1)

    def latents(self, x_BxHxWxC: Array) -> Array:
        """The posterior means before the mask of their own level."""
        found = self.inferred(x_BxHxWxC, sample=False, use_running_average=True)
        return jnp.concatenate([level.mu_BxD for level in found], axis=-1)

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD through each level's mask of inference, as if posteriors had unit variance."""
        kept = []
        for layer, u_BxD, weight_D in zip(
            self.batch_top_k, self.by_level(z_BxD), self._weights(), strict=True
        ):
            kept.append(layer(u_BxD, use_running_average=True, weight_D=weight_D))
        return jnp.concatenate(kept, axis=-1)

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
        level_D = jnp.repeat(jnp.arange(len(self.levels)), jnp.array(self.levels))
        return (self.selection != "dimension") & (level_D[:, None] == level_D[None])

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
        u_BxD = jnp.concatenate([level.code_BxD for level in found], axis=-1)
        unit = self.latent_dim if self.latent_reduction == "mean" else 1
        kls_B = [gaussian_kl(x.mu_BxD, x.logvar_BxD, "sum") / unit for x in found]
        seen_BxD = self.decoder_input(u_BxD)
        terms = self._bound(seen_BxD, sum(kls_B[1:], kls_B[0]), target_BxHxWxC, valid_B, progress)
        parts = [batch_average(kl_B, valid_B) for kl_B in kls_B]
        terms |= {f"kl_{number}": kl for number, kl in enumerate(parts, start=1)}
        if self.free_bits:
            free = jnp.sum(nn.relu(self.free_bits / unit - jnp.stack(parts)))
            terms["loss"] += self._warmed_up_beta(progress) * free
        if train:
            if self.sensitivity_every:
                key = self.make_rng("latent")
                self.sensitivity.observe(self._pure_decoder(), u_BxD, key, valid_B)
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
        decoder, of_decoder = self.decoder.unbind()
        top_down, of_top_down = self.top_down.unbind()
        mean = self.rule.mean

        def decode(u_BxD: Array) -> Array:
            z_BxD = jnp.asarray(top_down.apply(of_top_down, u_BxD))
            return mean(jnp.asarray(decoder.apply(of_decoder, z_BxD)))

        return decode
