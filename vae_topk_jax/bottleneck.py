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
from vae_topk_jax.checks import check_batch, check_valid
from vae_topk_jax.ema import update_ema
from vae_topk_jax.scores import SCORES, Score, lookup
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

# How sharply the gate of a `Selection` opens around the threshold.
GATE_SLOPE = 4.0
# Below this running frequency a dimension is dead.
DEAD = 1e-3


@dataclasses.dataclass(frozen=True)
class TopKStatistics:
    """What a `BatchTopK` keeps in `batch_stats`.

    Attributes:
        importance: importance_D, float32, running average.
        frequency: frequency_D, float32, running share of the images in which a dimension is active.
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
        gate_BxD: the mask made soft, sigmoid(4 (score / threshold - 1)), through which gradients
            reach the score: how probable it is that the entry is active.
        agreement: () Jaccard index of the batch's own choice and that of the running statistics,
            where both were made; 1 where there is but one.
    """

    mask_BxD: Array
    gate_BxD: Array
    agreement: Array | float = 1.0


class BatchTopK(nn.Module):
    """Keeps the k most important latents and sets the others to zero.

    In training the batch chooses; at inference running statistics of the batches do, so that an
    output never depends on who shares its batch. Three rules of selection:

        dimension   the k dimensions of the largest importance, the same for the whole batch; at
                    inference those of the largest running importance (the paper)
        element     the B k entries of the largest score; at inference the entries whose score
                    reaches the running threshold: k latents an image on average
        sample      the k entries of the largest score in each image, in training and at inference

    The statistics live in the mutable collection `batch_stats`, all float32 but the count, as
    running averages (see `update_ema`):

        importance  (D,)  the importance that the batch gives each dimension
        frequency   (D,)  the share of images in which each dimension is among the k
        threshold   ()    the importance (by dimension) or score that just passes
        count       ()    int32, how many batches they hold

    A batch whose importance or threshold is not finite leaves them as they were. Initialising
    updates nothing.

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
        hysteresis: by dimension, a dimension outside the running choice must beat one inside it by
            this share of its importance.
        straight_through: pass gradients to the entries that were set to zero as if they were not.
        calibration: by element, what the running threshold averages: "boundary", halfway between
            the smallest score kept and the largest left out, or "lowest", the former alone.
        calibrate_after: how many batches the average of the threshold leaves out; until there are
            enough others it is that of about the last tenth of all.

    Examples:
        >>> z = jax.random.normal(jax.random.key(0), (16, 6)) * jnp.arange(6.0)[None]
        >>> layer = BatchTopK(k=2, importance="mean_abs_z")
        >>> stats = layer.init(jax.random.key(1), z, use_running_average=False)
        >>> kept, stats = layer.apply(stats, z, use_running_average=False, mutable="batch_stats")
        >>> jnp.flatnonzero(jnp.any(kept != 0, axis=0)).tolist()
        [4, 5]
        >>> layer.apply(stats, z[:1], use_running_average=True).shape
        (1, 6)

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
    selection: SelectionRule = "dimension"
    score: str | Score = "abs_mu"
    hysteresis: float = 0.0
    straight_through: bool = False
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
        frozen: ArrayLike | None = None,
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
            frozen: where true, a training batch is masked by the running statistics as well, and
                the running importance stands still; the threshold goes on being calibrated.
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
            frozen=frozen,
            weight_D=weight_D,
        )
        return self.apply_selection(z_BxD, selection)

    def apply_selection(self, z_BxD: Array, selection: Selection) -> Array:
        """z_BxD where the mask is one, zero elsewhere, with gradients as `straight_through` says.

        Examples:
            >>> selection = Selection(jnp.array([[1.0, 0.0]]), jnp.array([[0.9, 0.1]]))
            >>> BatchTopK(k=1).apply_selection(jnp.array([[2.0, 3.0]]), selection).tolist()
            [[2.0, 0.0]]
        """
        kept_BxD = apply_mask(z_BxD, selection.mask_BxD)
        if self.straight_through:
            zero_BxD = jnp.where(jnp.isfinite(z_BxD), z_BxD - jax.lax.stop_gradient(z_BxD), 0)
            kept_BxD += apply_mask(zero_BxD, 1 - selection.mask_BxD)
        return kept_BxD

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
        frozen: ArrayLike | None = None,
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
        weight_D = jnp.ones(z_BxD.shape[1]) if weight_D is None else weight_D
        scores_BxD = self.scores(z_BxD, mu_BxD, logvar_BxD, weight_D)
        if running and not self.is_initializing():
            if self.selection != "sample":
                _refuse_without_updates(stats["count"].value)
            return self._choose_by_statistics(scores_BxD, stats, count)

        importance_D = self._importance(z_BxD, mu_BxD, logvar_BxD, valid_B) * weight_D
        earlier = self._choose_by_statistics(scores_BxD, stats, count)
        choose = functools.partial(
            self._choose_by_batch, scores_BxD, importance_D, earlier.mask_BxD[0], valid_B
        )
        choice, threshold = choose(count)
        agreement = self._agreement(choice.mask_BxD, earlier.mask_BxD, valid_B)
        held_D = importance_D
        if frozen is not None and not self.is_initializing():
            choice = jax.tree.map(functools.partial(jnp.where, frozen), earlier, choice)
            held_D = jnp.where(frozen, stats["importance"].value, importance_D)
        choice = choice._replace(agreement=agreement)
        usual = choice if count is None else choose(None)[0]
        if not self.is_initializing() and self.is_mutable_collection("batch_stats"):
            frequency_D = importances.batch_mean(usual.mask_BxD, valid_B, self._axis)
            observed = {"importance": held_D, "frequency": frequency_D, "threshold": threshold}
            self._update(stats, jax.lax.stop_gradient(observed))
        return choice

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

    def dead_code(self, z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
        """z of the dead dimensions alone, of them the k with the largest score in each image.

        A dimension is dead while its running frequency is below 0.001.
        """
        frequency_D: Array = self.get_variable("batch_stats", "frequency")
        scores_BxD = self.scores(z_BxD, mu_BxD, logvar_BxD)
        candidates_BxD = jnp.where(frequency_D[None, :] < DEAD, scores_BxD, -jnp.inf)
        return apply_mask(z_BxD, sample_top_k_mask(candidates_BxD, self.k))

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
        earlier_D: Array,
        valid_B: Array | None,
        count: ArrayLike | None,
    ) -> tuple[Selection, Array]:
        """The batch's own choice, and the threshold that goes into the statistics."""
        if self.selection == "dimension":
            bonus_D = 1.0 + self.hysteresis * jnp.nan_to_num(earlier_D)
            mask_D = self._dimensions(importance_D * bonus_D, count)
            level = boundary(importance_D, mask_D)
            return _selection(mask_D, importance_D, level, scores_BxD.shape), level
        if self.selection == "element":
            k = self.k if count is None else count
            mask_BxD, level = element_top_k(scores_BxD, k, valid_B, self._axis)
            if self.calibration == "lowest":
                level = lowest_kept(scores_BxD, mask_BxD, self._axis)
            return _selection(mask_BxD, scores_BxD, level, scores_BxD.shape), level
        choice, level_B = self._choose_per_sample(scores_BxD, count)
        return choice, importances.batch_mean(level_B[:, None], valid_B, self._axis)[0]

    def _choose_by_statistics(
        self, scores_BxD: Array, stats: dict[str, nn.Variable], count: ArrayLike | None
    ) -> Selection:
        if self.selection == "sample":
            return self._choose_per_sample(scores_BxD, count)[0]
        level = stats["threshold"].value
        if self.selection == "dimension":
            rank = stats["importance"].value
            mask = self._dimensions(rank, count)
        else:
            rank = scores_BxD
            mask = (jax.lax.stop_gradient(scores_BxD) >= level).astype(jnp.float32)
        known_mask = jnp.where(stats["count"].value > 0, mask, jnp.nan)
        return _selection(known_mask, rank, level, scores_BxD.shape)

    def _choose_per_sample(
        self, scores_BxD: Array, count: ArrayLike | None
    ) -> tuple[Selection, Array]:
        k = self.k if count is None else scores_BxD.shape[1]
        mask_BxD = sample_top_k_mask(scores_BxD, k, count)
        level_B = jax.vmap(boundary)(scores_BxD, mask_BxD)
        return _selection(mask_BxD, scores_BxD, level_B[:, None], scores_BxD.shape), level_B

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


def _selection(mask: Array, rank: Array, level: Array, shape: tuple[int, ...]) -> Selection:
    """A mask of dimensions or of entries, with its gate, spread over every entry."""
    gate = jax.nn.sigmoid(GATE_SLOPE * (rank / jnp.maximum(level, 1e-6) - 1.0))
    return Selection(*(jnp.broadcast_to(jnp.atleast_2d(x), shape) for x in (mask, gate)))


def _refuse_without_updates(count: Array) -> None:
    if not isinstance(count, jax.core.Tracer) and int(count) == 0:
        raise ValueError(
            "BatchTopK has seen no batch yet (batch_stats count is 0), so its running average "
            "cannot choose dimensions: train first, or call with use_running_average=False"
        )
