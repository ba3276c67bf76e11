"""BatchTopK: a bottleneck that behaves towards a latent as BatchNorm does towards an activation."""

import dataclasses
from collections.abc import Callable
from typing import TypedDict, Unpack

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.rule import Calibration, Latent, Selection, SelectionRule, TopKRule
from vae_topk_jax.scores import Score
from vae_topk_jax.selection import apply_mask
from vae_topk_jax.statistics import NAMES, TopKStatistics


class Options(TypedDict, total=False):
    """What a call of `BatchTopK` takes by name, see there."""

    valid_B: Array | None
    count: ArrayLike | None
    weight_D: Array | None
    score_BxD: Array | None


class BatchTopK(nn.Module):
    """Keeps the k most important latents and sets the others to zero.

    In training the batch chooses; at inference running statistics of the batches do, so that an
    output does not depend on the rest of its batch. Four rules of selection:

        element     the B k entries of the largest score; at inference the entries whose score
                    reaches the running threshold: k latents per image on average (the default)
        dimension   the k dimensions of the largest importance, the same for the whole batch; at
                    inference those of the largest running importance (the paper)
        sample      the k entries of the largest score in each image, in training and at inference
        slot        the entry of the largest score in each of k groups of D / k neighbours, in
                    training and at inference; k divides D

    The latent may have any leading axes: (B, D), tokens (B, T, D), maps (B, H, W, D). Together they
    are the batch, and what is said of an image holds for each token or position: by element the
    B H W k largest of all B H W D entries pass, k per position on average, more where the map shows
    more; by dimension one mask serves all positions.

    The statistics live in the mutable collection `batch_stats`, all float32 but the count, as
    running averages (see `update_ema`):

        importance  (D,)  the importance that the batch gives each dimension
        frequency   (D,)  the fraction of images in which each dimension is among the k
        threshold   ()    the importance (by dimension) or score that just passes
        count       ()    int32, how many batches they hold

    A batch whose importance or threshold is not finite leaves them as they were; one of which no
    entry passes, because no score is above -inf, leaves the threshold as it was. Initialising
    updates nothing. As in `nn.BatchNorm`, a training call without `mutable="batch_stats"` raises
    `flax.errors.ModifyScopeVariableError`.

    Attributes:
        k: how many latents pass, 1 <= k <= D; by element it is a mean and may be any fraction.
        importance: what ranks dimensions: a name in `vae_topk_jax.importance.IMPORTANCES` or a
            callable of the same signature, whose arguments are folded to (B, D); `valid_B` and
            `axis_name` are passed to it only where they are set, so a plain function of (z, mu,
            logvar) will do otherwise.
        decay: decay of the running averages.
        use_running_average: True at inference, False in training; here or in the call, as in
            `nn.BatchNorm`.
        axis_name: mapped axis over which the batch is split (`shard_map`, `pmap`, `vmap`). Under
            plain `jit` with shardings the batch is global already and none is needed.
        selection: the rule, one of the four above.
        score: what ranks entries: a name in `vae_topk_jax.scores.SCORES` or a callable of (z, mu,
            logvar).
        calibration: by element, what the running threshold averages: "boundary", halfway between
            the smallest score kept and the largest left out, or "lowest", the former alone.
        calibrate_after: how many batches the average of the threshold leaves out; until there are
            enough others it is that of about the last tenth of all.
        cap: by element, of the entries above the running threshold at most k pass in each image,
            the largest; on inputs unlike those of training, noisy ones say, many more may be above.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> z = jax.random.normal(jax.random.key(0), (16, 6)) * jnp.arange(6.0)[None]
        >>> layer = BatchTopK(k=2)
        >>> stats = layer.init(jax.random.key(1), z, use_running_average=False)
        >>> kept, stats = layer.apply(stats, z, use_running_average=False, mutable="batch_stats")
        >>> int((kept != 0).sum()), layer.apply(stats, z[:1], use_running_average=True).shape
        (32, (1, 6))

        By dimension, as in the paper, the same 2 pass in every image:

        >>> layer = BatchTopK(k=2, selection="dimension", importance="mean_abs_z")
        >>> kept, _ = layer.apply(stats, z, use_running_average=False, mutable="batch_stats")
        >>> jnp.flatnonzero(jnp.any(kept != 0, axis=0)).tolist()
        [4, 5]

        After a convolution every position of the map is an example, k latents each on average:

        >>> maps = jax.random.normal(jax.random.key(2), (8, 7, 7, 6))
        >>> layer = BatchTopK(k=2, use_running_average=False)
        >>> kept, _ = layer.init_with_output(jax.random.key(1), maps)
        >>> kept.shape, int((kept != 0).sum()) == 8 * 7 * 7 * 2
        ((8, 7, 7, 6), True)

    References:
        Byeon & Lee, sections 2.1 and 2.2 (by dimension); Bussmann, Leask & Nanda, "BatchTopK Sparse
        Autoencoders", 2024 (by element); Makhzani & Frey, "k-Sparse Autoencoders", ICLR 2014 (per
        sample); `flax.linen.BatchNorm` for the discipline.
    """

    k: int
    importance: str | Callable[..., Array] = "kl"
    decay: float = 0.99
    use_running_average: bool | None = None
    axis_name: str | None = None
    selection: SelectionRule = "element"
    score: str | Score = "abs_mu"
    calibration: Calibration = "boundary"
    calibrate_after: int = 0
    cap: bool = False

    def __call__(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        use_running_average: bool | None = None,
        **options: Unpack[Options],
    ) -> Array:
        """The masked latent.

        Args:
            z_BxD: the latent to mask, (..., D).
            mu_BxD: posterior means; `z_BxD` itself where None (a deterministic code).
            logvar_BxD: posterior log-variances; zeros where None.
            use_running_average: where the attribute is None.
            **options: valid_B, which marks the real examples of a padded batch, of the leading
                shape; count, how many latents pass in place of k (it need not be static, so it can
                be annealed; by element it counts only in training, by slot it is refused);
                weight_D, what a unit of each dimension is worth, which multiplies importances and
                scores; score_BxD, which ranks entries in place of `score`, of the shape of z.

        Returns:
            z_BxD with all other entries set to zero.

        Raises:
            ValueError: k outside [1, D], or by slot no divisor of D, shapes that differ, an unknown
                importance, score or selection, `use_running_average` given twice or not at all, or
                inference before the first update. (Under `jit` the count of updates is not known
                while tracing; there the output of such a call is NaN.)
        """
        selection = self.select(
            z_BxD, mu_BxD, logvar_BxD, use_running_average=use_running_average, **options
        )
        return apply_mask(z_BxD, selection.mask_BxD)

    @nn.compact
    def select(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        use_running_average: bool | None = None,
        **options: Unpack[Options],
    ) -> Selection:
        """The selection that the call applies; arguments and updates as there."""
        running = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        latent = Latent.of(z_BxD, mu_BxD, logvar_BxD, **options)
        kept = {
            name: self.variable("batch_stats", name, _zeros, name, latent.size) for name in NAMES
        }
        statistics = TopKStatistics(**{name: variable.value for name, variable in kept.items()})
        rule = self.rule
        if self.is_initializing():
            rule = dataclasses.replace(rule, axis_name=None)  # nothing is mapped yet
        elif running:
            return rule.choose_by_statistics(latent, statistics)
        selection, updated = rule.choose_by_batch(latent, statistics)
        if not self.is_initializing():
            for name, variable in kept.items():
                variable.value = getattr(updated, name)
        return selection

    def sparsify(self, z_BxD: Array, weight_D: Array | None = None) -> Array:
        """z_BxD with the zeros of inference, where z is all that is known.

        Where the means alone do not make the mask (`TopKRule.masks_by_means`), z should have its
        zeros already: by element it is returned as it is, by slot the largest |z| of each group
        remains, per sample the k largest remain.

        Examples:
            >>> import jax
            >>> layer = BatchTopK(k=1, selection="sample", score="kl")
            >>> layer.init_with_output(jax.random.key(0), jnp.array([[1.0, -2.0]]),
            ...                        method="sparsify")[0].tolist()
            [[0.0, -2.0]]
        """
        if self.rule.masks_by_means:
            return self(z_BxD, use_running_average=True, weight_D=weight_D)
        if self.selection == "element":
            return z_BxD
        return self(z_BxD, use_running_average=True, score_BxD=jnp.abs(z_BxD))

    def scores(
        self, z_BxD: Array, mu_BxD: Array, logvar_BxD: Array, weight_D: Array | None = None
    ) -> Array:
        """score_BxD, float32, by which entries are ranked: `score` times `weight_D`.

        Examples:
            >>> mu = jnp.array([[1.0, -2.0]])
            >>> BatchTopK(k=1).scores(mu, mu, jnp.zeros((1, 2)), jnp.array([3.0, 1.0])).tolist()
            [[3.0, 2.0]]
        """
        latent = Latent.of(z_BxD, mu_BxD, logvar_BxD, weight_D=weight_D)
        return self.rule.scores(latent).reshape(z_BxD.shape)

    @property
    def rule(self) -> TopKRule:
        """The pure functions beneath the layer."""
        return TopKRule(**{f.name: getattr(self, f.name) for f in dataclasses.fields(TopKRule)})


def _zeros(name: str, size: int) -> Array:
    return getattr(TopKStatistics.zeros(size), name)
