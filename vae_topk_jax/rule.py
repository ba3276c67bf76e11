"""Which entries of a latent pass: chosen by the batch in training, by its statistics at inference.

The layers of Linen and NNX are this rule and a place for its statistics.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax import importance as importances
from vae_topk_jax.checks import check_latent, check_shape, check_valid, lookup
from vae_topk_jax.element import boundary, element_top_k, lowest_kept
from vae_topk_jax.folding import fold, fold_valid
from vae_topk_jax.ranking import count_rows
from vae_topk_jax.scores import OF_MEANS, SCORES, Score
from vae_topk_jax.selection import batch_top_k_mask, check_k, check_mean_k, sample_top_k_mask
from vae_topk_jax.slots import check_slots, slot_mask
from vae_topk_jax.statistics import TopKStatistics

SelectionRule = Literal["dimension", "element", "sample", "slot"]
Calibration = Literal["boundary", "lowest"]


class Selection(NamedTuple):
    """Which entries of a latent pass.

    Attributes:
        mask_BxD: zeros and ones of the latent's shape, a constant to differentiation.
        agreement: () Jaccard index of the batch's own choice and that of the running statistics,
            where both were made; 1 where there is but one.
    """

    mask_BxD: Array
    agreement: Array | float = 1.0


@dataclasses.dataclass(frozen=True)
class Latent:
    """A batch of latents, folded to (B, D), and what decides beside their posterior.

    Attributes:
        z_BxD: the latent.
        mu_BxD: means of the posterior.
        logvar_BxD: its log-variances.
        valid_B: marks the real examples of a padded batch.
        count: how many latents pass in place of k.
        weight_D: what a unit of each dimension is worth.
        score_BxD: what ranks entries in place of the rule's score.
        shape: of the latent before it was folded.
    """

    z_BxD: Array
    mu_BxD: Array
    logvar_BxD: Array
    valid_B: Array | None
    count: ArrayLike | None
    weight_D: Array | None
    score_BxD: Array | None
    shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        valid_B: Array | None = None,
        count: ArrayLike | None = None,
        weight_D: Array | None = None,
        score_BxD: Array | None = None,
    ) -> "Latent":
        """The latent of the arguments of `BatchTopK`.

        Raises:
            ValueError: shapes that do not fit, or no real numbers.
        """
        mu_BxD = z_BxD if mu_BxD is None else mu_BxD
        logvar_BxD = jnp.zeros_like(z_BxD) if logvar_BxD is None else logvar_BxD
        check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
        check_valid(valid_B, *z_BxD.shape[:-1])
        if weight_D is not None:
            check_shape("weight", weight_D, "one latent", z_BxD.shape[-1:])
        if score_BxD is not None:
            check_latent(z=z_BxD, score=score_BxD)
            score_BxD = fold(score_BxD).astype(jnp.float32)
        folded = (fold(z_BxD), fold(mu_BxD), fold(logvar_BxD), fold_valid(valid_B))
        return cls(*folded, count, weight_D, score_BxD, z_BxD.shape)

    @property
    def size(self) -> int:
        """D."""
        return self.shape[-1]


@dataclasses.dataclass(frozen=True)
class TopKRule:
    """The rule of a `BatchTopK`, as pure functions: statistics in, statistics out.

    Its fields are those of `vae_topk_jax.bottleneck.BatchTopK`, without `use_running_average`.

    Examples:
        >>> rule, stats = TopKRule(k=2), TopKStatistics.zeros(6)
        >>> latent = Latent.of(jax.random.normal(jax.random.key(0), (16, 6)))
        >>> selection, stats = rule.choose_by_batch(latent, stats)
        >>> int(selection.mask_BxD.sum()), int(stats.count)
        (32, 1)
        >>> rule.choose_by_statistics(latent, stats).mask_BxD.shape
        (16, 6)
    """

    k: int
    importance: str | Callable[..., Array] = "kl"
    decay: float = 0.99
    axis_name: str | None = None
    selection: SelectionRule = "element"
    score: str | Score = "abs_mu"
    calibration: Calibration = "boundary"
    calibrate_after: int = 0
    cap: bool = False

    def check(self, size: int) -> None:
        """Refuses a rule that is none for D = `size` dimensions.

        Raises:
            ValueError: k outside [1, D], or by slot no divisor of D; an unknown selection or
                calibration, or a cap where there is no threshold.
        """
        for name, choices in (("selection", SelectionRule), ("calibration", Calibration)):
            if (value := getattr(self, name)) not in get_args(choices):
                raise ValueError(f"{name} must be one of {get_args(choices)}, got {value!r}")
        if self.cap and self.selection != "element":
            raise ValueError(f"cap must be False by {self.selection}, which keeps k, got True")
        checks: dict[str, Callable] = {"element": check_mean_k, "slot": check_slots}
        checks.get(self.selection, check_k)(self.k, size)

    def choose_by_batch(
        self, latent: Latent, statistics: TopKStatistics
    ) -> tuple[Selection, TopKStatistics]:
        """The batch's own choice, as in training, and the statistics with it."""
        self.check(latent.size)
        scores_BxD = self.scores(latent)
        importance_D = self._importance(latent)
        mask_BxD, threshold = self._best(scores_BxD, importance_D, latent.valid_B, latent.count)
        usual_BxD = mask_BxD
        if latent.count is not None:
            usual_BxD, _ = self._best(scores_BxD, importance_D, latent.valid_B, None)
        running_BxD = self._running(scores_BxD, statistics, latent.count, unseen=0.0)
        observed = TopKStatistics(
            importance=importance_D,
            frequency=importances.batch_mean(usual_BxD, latent.valid_B, self.axis_name),
            threshold=threshold,
            count=jnp.ones((), jnp.int32),
        )
        agreement = self._agreement(mask_BxD, running_BxD, latent.valid_B)
        return (
            Selection(mask_BxD.reshape(latent.shape), agreement),
            statistics.updated(jax.lax.stop_gradient(observed), self.decay, self.calibrate_after),
        )

    def choose_by_statistics(self, latent: Latent, statistics: TopKStatistics) -> Selection:
        """The choice of the running statistics, as at inference.

        Raises:
            ValueError: they have seen no batch; where that is not known, while tracing, the mask is
                NaN.
        """
        self.check(latent.size)
        is_known = not isinstance(statistics.count, jax.core.Tracer)
        needs_them = self.selection in ("dimension", "element")
        if is_known and needs_them and int(statistics.count) == 0:
            raise ValueError(
                "BatchTopK has seen no batch yet (its count is 0), so its running average cannot "
                "choose dimensions: train first, or call with use_running_average=False"
            )
        unseen = 0.0 if is_known else jnp.nan
        mask_BxD = self._running(self.scores(latent), statistics, latent.count, unseen)
        return Selection(mask_BxD.reshape(latent.shape))

    @property
    def masks_by_means(self) -> bool:
        """Whether at inference the mask is a function of the posterior means alone: not by slot,
        and elsewhere not where `score` rests on the variance, or is a callable that may.

        Examples:
            >>> from vae_topk_jax.scores import abs_mu
            >>> [TopKRule(1, score=score).masks_by_means for score in ("abs_mu", abs_mu, "kl")]
            [True, True, False]
        """
        if self.selection == "dimension":
            return True
        return self.selection != "slot" and lookup("score", self.score, SCORES) in OF_MEANS

    def scores(self, latent: Latent) -> Array:
        """score_BxD, float32, by which entries are ranked: `score`, or the scores that were
        given, times the weight."""
        scores_BxD = latent.score_BxD
        if scores_BxD is None:
            posterior = latent.z_BxD, latent.mu_BxD, latent.logvar_BxD
            scores_BxD = lookup("score", self.score, SCORES)(*posterior)
        return scores_BxD if latent.weight_D is None else scores_BxD * latent.weight_D[None, :]

    def _importance(self, latent: Latent) -> Array:
        posterior = latent.z_BxD, latent.mu_BxD, latent.logvar_BxD
        options: dict = {} if latent.valid_B is None else {"valid_B": latent.valid_B}
        if self.axis_name is not None:
            options["axis_name"] = self.axis_name
        importance_D = importances.resolve(self.importance)(*posterior, **options)
        if importance_D.shape != (latent.size,):
            raise ValueError(
                f"importance must return shape {(latent.size,)}, one number a dimension, "
                f"got {importance_D.shape}"
            )
        importance_D = importance_D.astype(jnp.float32)
        return importance_D if latent.weight_D is None else importance_D * latent.weight_D

    def _best(
        self,
        scores_BxD: Array,
        importance_D: Array,
        valid_B: Array | None,
        count: ArrayLike | None,
    ) -> tuple[Array, Array]:
        """mask_BxD of the batch's best, and the threshold that goes into the statistics."""
        if self.selection == "dimension":
            mask_D = self._dimensions(importance_D, count)
            return jnp.broadcast_to(mask_D, scores_BxD.shape), boundary(importance_D, mask_D)
        if self.selection == "element":
            k = self.k if count is None else count
            mask_BxD, level = element_top_k(scores_BxD, k, valid_B, self.axis_name)
            if self.calibration == "lowest":
                level = lowest_kept(scores_BxD, mask_BxD, self.axis_name)
            return mask_BxD, level
        mask_BxD = self._per_image(scores_BxD, count)
        level_B = jax.vmap(boundary)(scores_BxD, mask_BxD)
        return mask_BxD, importances.batch_mean(level_B[:, None], valid_B, self.axis_name)[0]

    def _running(
        self,
        scores_BxD: Array,
        statistics: TopKStatistics,
        count: ArrayLike | None,
        unseen: float,
    ) -> Array:
        """mask_BxD of the running statistics; `unseen` everywhere where they have seen no batch."""
        if self.selection in ("sample", "slot"):
            return self._per_image(scores_BxD, count)
        if self.selection == "dimension":
            mask_D = self._dimensions(statistics.importance, count)
            mask_BxD = jnp.broadcast_to(mask_D, scores_BxD.shape)
        else:
            # With k = D nothing is left out, and no threshold applies.
            level = -jnp.inf if self.k == scores_BxD.shape[1] else statistics.threshold
            scores_BxD = jax.lax.stop_gradient(scores_BxD)
            mask_BxD = ((scores_BxD >= level) & (scores_BxD > -jnp.inf)).astype(jnp.float32)
            if self.cap:
                mask_BxD *= sample_top_k_mask(scores_BxD, math.ceil(self.k))
        return jnp.where(statistics.count > 0, mask_BxD, unseen)

    def _dimensions(self, importance_D: Array, count: ArrayLike | None) -> Array:
        k = self.k if count is None else len(importance_D)
        return batch_top_k_mask(importance_D, k, count)

    def _per_image(self, scores_BxD: Array, count: ArrayLike | None) -> Array:
        if self.selection == "slot":
            if count is not None:
                raise ValueError(
                    "count must be None by slot, where one latent of each group passes"
                )
            return slot_mask(scores_BxD, self.k)
        k = self.k if count is None else scores_BxD.shape[1]
        return sample_top_k_mask(scores_BxD, k, count)

    def _agreement(self, mask_BxD: Array, running_BxD: Array, valid_B: Array | None) -> Array:
        """The Jaccard index of two masks; 0 where there are no statistics yet."""
        kept_BxD, usual_BxD = mask_BxD > 0, running_BxD > 0
        both_Bx1, either_Bx1 = count_rows(kept_BxD & usual_BxD), count_rows(kept_BxD | usual_BxD)
        counts_Bx2 = jnp.concatenate([both_Bx1, either_Bx1], axis=1)
        both, either = importances.batch_mean(counts_Bx2, valid_B, self.axis_name)
        return jnp.where(either > 0, both / either, 0.0)
