"""BatchTopK: a bottleneck that behaves towards a latent as BatchNorm does towards an activation."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax import importance as importances
from vae_topk_jax.checks import check_batch, check_valid, lookup
from vae_topk_jax.ema import update_ema
from vae_topk_jax.scores import SCORES, Score
from vae_topk_jax.selection import (
    apply_mask,
    batch_top_k_mask,
    boundary,
    check_k,
    check_mean_k,
    element_top_k,
    lowest_kept,
    sample_top_k_mask,
)

SelectionRule = Literal["dimension", "element", "sample"]
Calibration = Literal["boundary", "lowest"]

# Below this running frequency a dimension is dead.
DEAD = 1e-3


@dataclasses.dataclass(frozen=True)
class TopKStatistics:
    """What a `BatchTopK` keeps in `batch_stats`.

    Attributes:
        importance: importance_D, float32, running average.
        frequency: frequency_D, float32, running fraction of the images in which each dimension is
            active.
        threshold: () float32, running average of the score that just passes.
        count: () int32, how many batches they hold.
    """

    importance: Array
    frequency: Array
    threshold: Array
    count: Array


def find_statistics(batch_stats: Mapping[str, Any]) -> TopKStatistics | None:
    """The statistics of the first `BatchTopK` in a model's `batch_stats`; None if there is none.

    Examples:
        >>> find_statistics({"encoder": {"norm": {"mean": 0, "var": 1}}}) is None
        True
    """
    if batch_stats.keys() == {field.name for field in dataclasses.fields(TopKStatistics)}:
        return TopKStatistics(**batch_stats)
    inner = (find_statistics(v) for v in batch_stats.values() if isinstance(v, Mapping))
    return next((found for found in inner if found is not None), None)


class Selection(NamedTuple):
    """Which entries of a latent pass.

    Attributes:
        mask_BxD: zeros and ones, a constant to differentiation.
        agreement: () Jaccard index of the batch's own choice and that of the running statistics,
            where both were made; 1 where there is but one.
    """

    mask_BxD: Array
    agreement: Array | float = 1.0


class BatchTopK(nn.Module):
    """Keeps the k most important latents and sets the others to zero.

    In training the batch chooses; at inference running statistics of the batches do, so that an
    output does not depend on the rest of its batch. Three rules of selection:

        element     the B k entries of the largest score; at inference the entries whose score
                    reaches the running threshold: k latents per image on average (the default)
        dimension   the k dimensions of the largest importance, the same for the whole batch; at
                    inference those of the largest running importance (the paper)
        sample      the k entries of the largest score in each image, in training and at inference

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
            callable of the same signature; `valid_B` and `axis_name` are passed to it only where
            they are set, so a plain function of (z, mu, logvar) will do otherwise.
        decay: decay of the running averages.
        use_running_average: True at inference, False in training; here or in the call, as in
            `nn.BatchNorm`.
        axis_name: mapped axis over which the batch is split (`shard_map`, `pmap`, `vmap`). Under
            plain `jit` with shardings the batch is global already and none is needed.
        selection: the rule, one of the three above.
        score: what ranks entries: a name in `vae_topk_jax.scores.SCORES` or a callable of (z, mu,
            logvar).
        calibration: by element, what the running threshold averages: "boundary", halfway between
            the smallest score kept and the largest left out, or "lowest", the former alone.
        calibrate_after: how many batches the average of the threshold leaves out; until there are
            enough others it is that of about the last tenth of all.

    Examples:
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

    def __call__(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        valid_B: Array | None = None,
        use_running_average: bool | None = None,
        count: ArrayLike | None = None,
        weight_D: Array | None = None,
    ) -> Array:
        """The masked latent.

        Args:
            z_BxD: the latent to mask.
            mu_BxD: posterior means; `z_BxD` itself where None (a deterministic code).
            logvar_BxD: posterior log-variances; zeros where None.
            valid_B: marks the real examples of a padded batch.
            use_running_average: where the attribute is None.
            count: passes this many latents in place of k; it need not be static, so it can be
                annealed. By element it counts only in training.
            weight_D: what a unit of each dimension is worth: multiplies importances and scores.

        Returns:
            z_BxD with all other entries set to zero.

        Raises:
            ValueError: k outside [1, D], shapes that differ, an unknown importance, score or
                selection, `use_running_average` given twice or not at all, or inference before the
                first update. (Under `jit` the count of updates is not known while tracing; there
                the output of such a call is NaN.)
        """
        selection = self.select(
            z_BxD,
            mu_BxD,
            logvar_BxD,
            valid_B=valid_B,
            use_running_average=use_running_average,
            count=count,
            weight_D=weight_D,
        )
        return apply_mask(z_BxD, selection.mask_BxD)

    @nn.compact
    def select(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        valid_B: Array | None = None,
        use_running_average: bool | None = None,
        count: ArrayLike | None = None,
        weight_D: Array | None = None,
    ) -> Selection:
        """The selection that the call applies; arguments and updates as there."""
        running = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        mu_BxD = z_BxD if mu_BxD is None else mu_BxD
        logvar_BxD = jnp.zeros_like(z_BxD) if logvar_BxD is None else logvar_BxD
        check_batch(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
        check_valid(valid_B, z_BxD.shape[0])
        for name, choices in (("selection", SelectionRule), ("calibration", Calibration)):
            if (value := getattr(self, name)) not in get_args(choices):
                raise ValueError(f"{name} must be one of {get_args(choices)}, got {value!r}")
        check = check_mean_k if self.selection == "element" else check_k
        check(self.k, z_BxD.shape[1])
        stats = self._statistics(z_BxD.shape[1])
        weight_D = jnp.ones(z_BxD.shape[1], jnp.float32) if weight_D is None else weight_D
        scores_BxD = self.scores(z_BxD, mu_BxD, logvar_BxD, weight_D)
        if running and not self.is_initializing():
            if self.selection != "sample":
                _refuse_without_updates(stats["count"].value)
            mask_BxD = self._choose_by_statistics(scores_BxD, stats, count)
            if self.selection != "sample":
                mask_BxD = jnp.where(stats["count"].value > 0, mask_BxD, jnp.nan)
            return Selection(mask_BxD)

        importance_D = self._importance(z_BxD, mu_BxD, logvar_BxD, valid_B) * weight_D
        choose = functools.partial(self._choose_by_batch, scores_BxD, importance_D, valid_B)
        mask_BxD, threshold = choose(count)
        usual_BxD = mask_BxD if count is None else choose(None)[0]
        running_BxD = self._choose_by_statistics(scores_BxD, stats, count)
        if not self.is_initializing():
            frequency_D = importances.batch_mean(usual_BxD, valid_B, self._axis)
            observed = {
                "importance": importance_D,
                "frequency": frequency_D,
                "threshold": threshold,
            }
            self._update(stats, jax.lax.stop_gradient(observed))
        return Selection(mask_BxD, self._agreement(mask_BxD, running_BxD, valid_B))

    def scores(
        self, z_BxD: Array, mu_BxD: Array, logvar_BxD: Array, weight_D: Array | None = None
    ) -> Array:
        """score_BxD, float32, by which entries are ranked: `score` times `weight_D`.

        Examples:
            >>> mu = jnp.array([[1.0, -2.0]])
            >>> BatchTopK(k=1).scores(mu, mu, jnp.zeros((1, 2)), jnp.array([3.0, 1.0])).tolist()
            [[3.0, 2.0]]
        """
        scores_BxD = lookup("score", self.score, SCORES)(z_BxD, mu_BxD, logvar_BxD)
        return scores_BxD if weight_D is None else scores_BxD * weight_D[None, :]

    @property
    def _axis(self) -> str | None:
        return None if self.is_initializing() else self.axis_name

    def _statistics(self, size: int) -> dict[str, nn.Variable]:
        shapes = {"importance": (size,), "frequency": (size,), "threshold": ()}
        stats = {
            name: self.variable("batch_stats", name, jnp.zeros, shape, jnp.float32)
            for name, shape in shapes.items()
        }
        return stats | {"count": self.variable("batch_stats", "count", jnp.zeros, (), jnp.int32)}

    def _update(self, stats: dict[str, nn.Variable], observed: dict[str, Array]) -> None:
        count = stats["count"]
        threshold = observed["threshold"]
        kept_any = threshold < jnp.inf
        observed["threshold"] = jnp.where(kept_any, threshold, stats["threshold"].value)
        is_finite = jnp.all(
            jnp.isfinite(jnp.concatenate([jnp.ravel(v) for v in observed.values()]))
        )
        seen = count.value.astype(jnp.float32)
        counts = dict.fromkeys(observed, seen)
        counts["threshold"] = jnp.maximum(seen - self.calibrate_after, 0.1 * seen)
        for name, value in observed.items():
            updated = update_ema(stats[name].value, value, counts[name], self.decay)
            stats[name].value = jnp.where(is_finite, updated, stats[name].value)
        count.value = count.value + is_finite.astype(jnp.int32)

    def _choose_by_batch(
        self,
        scores_BxD: Array,
        importance_D: Array,
        valid_B: Array | None,
        count: ArrayLike | None,
    ) -> tuple[Array, Array]:
        """mask_BxD of the batch's own choice, and the threshold that goes into the statistics."""
        if self.selection == "dimension":
            mask_D = self._dimensions(importance_D, count)
            return jnp.broadcast_to(mask_D, scores_BxD.shape), boundary(importance_D, mask_D)
        if self.selection == "element":
            k = self.k if count is None else count
            mask_BxD, level = element_top_k(scores_BxD, k, valid_B, self._axis)
            if self.calibration == "lowest":
                level = lowest_kept(scores_BxD, mask_BxD, self._axis)
            return mask_BxD, level
        mask_BxD = self._choose_per_sample(scores_BxD, count)
        level_B = jax.vmap(boundary)(scores_BxD, mask_BxD)
        return mask_BxD, importances.batch_mean(level_B[:, None], valid_B, self._axis)[0]

    def _choose_by_statistics(
        self, scores_BxD: Array, stats: dict[str, nn.Variable], count: ArrayLike | None
    ) -> Array:
        """mask_BxD of the running statistics; zeros where they have seen no batch yet."""
        if self.selection == "sample":
            return self._choose_per_sample(scores_BxD, count)
        if self.selection == "dimension":
            mask_D = self._dimensions(stats["importance"].value, count)
            mask_BxD = jnp.broadcast_to(mask_D, scores_BxD.shape)
        else:
            # With k = D nothing is left out, and no threshold applies.
            level = -jnp.inf if self.k == scores_BxD.shape[1] else stats["threshold"].value
            scores_BxD = jax.lax.stop_gradient(scores_BxD)
            mask_BxD = ((scores_BxD >= level) & (scores_BxD > -jnp.inf)).astype(jnp.float32)
        return jnp.where(stats["count"].value > 0, mask_BxD, 0.0)

    def _choose_per_sample(self, scores_BxD: Array, count: ArrayLike | None) -> Array:
        k = self.k if count is None else scores_BxD.shape[1]
        return sample_top_k_mask(scores_BxD, k, count)

    def _agreement(self, mask_BxD: Array, earlier_BxD: Array, valid_B: Array | None) -> Array:
        """The Jaccard index of two masks; 0 where there are no statistics yet."""
        counts_BxD = jnp.stack([mask_BxD * earlier_BxD, jnp.maximum(mask_BxD, earlier_BxD)])
        counts_Bx2 = jnp.sum(counts_BxD, axis=2).T
        both, either = importances.batch_mean(counts_Bx2, valid_B, self._axis)
        return jnp.where(either > 0, both / either, 0.0)

    def _dimensions(self, importance_D: Array, count: ArrayLike | None) -> Array:
        return batch_top_k_mask(importance_D, self.k if count is None else len(importance_D), count)

    def _importance(
        self, z_BxD: Array, mu_BxD: Array, logvar_BxD: Array, valid_B: Array | None
    ) -> Array:
        options: dict = {} if valid_B is None else {"valid_B": valid_B}
        if self._axis is not None:
            options["axis_name"] = self._axis
        importance_D = importances.resolve(self.importance)(z_BxD, mu_BxD, logvar_BxD, **options)
        if importance_D.shape != z_BxD.shape[1:]:
            raise ValueError(
                f"importance must return shape {z_BxD.shape[1:]}, one number a dimension, "
                f"got {importance_D.shape}"
            )
        return importance_D.astype(jnp.float32)


def _refuse_without_updates(count: Array) -> None:
    if not isinstance(count, jax.core.Tracer) and int(count) == 0:
        raise ValueError(
            "BatchTopK has seen no batch yet (batch_stats count is 0), so its running average "
            "cannot choose dimensions: train first, or call with use_running_average=False"
        )
