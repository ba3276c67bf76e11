"""BatchTopK: a bottleneck that behaves towards a latent as BatchNorm does towards an activation."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax import importance as importances
from vae_topk_jax.ema import update_ema
from vae_topk_jax.selection import apply_mask, batch_top_k_mask


@dataclasses.dataclass(frozen=True)
class TopKStatistics:
    """What a `BatchTopK` keeps in `batch_stats`.

    Attributes:
        importance: importance_D, float32, the running average.
        count: () int32, how many batches it holds.
    """

    importance: Array
    count: Array


def find_statistics(batch_stats: Mapping[str, Any]) -> TopKStatistics | None:
    """The statistics of the first `BatchTopK` in a model's `batch_stats`; None if there is none.

    Examples:
        >>> find_statistics({"encoder": {"norm": {"mean": 0, "var": 1}}}) is None
        True
    """
    if batch_stats.keys() == {"importance", "count"}:
        return TopKStatistics(**batch_stats)
    inner = (find_statistics(v) for v in batch_stats.values() if isinstance(v, Mapping))
    return next((found for found in inner if found is not None), None)


class BatchTopK(nn.Module):
    """Keeps the k most important latent dimensions of the batch and sets the others to zero.

    In training the importance of the batch chooses the dimensions and feeds an exponential moving
    average; at inference that average chooses them, so that an output never depends on who shares
    its batch. The average lives in the mutable collection `batch_stats`:

        importance  (D,) float32   running average of the importance (see `update_ema`)
        count       ()   int32     how many batches it holds

    A batch whose importance is not finite leaves both as they were. Initialising updates nothing.

    Attributes:
        k: how many dimensions pass, 1 <= k <= D.
        importance: a name in `vae_topk_jax.importance.IMPORTANCES` or a callable of the same
            signature; `valid_B` and `axis_name` are passed to it only where they are set, so a
            plain function of (z, mu, logvar) will do otherwise.
        decay: decay of the running average.
        use_running_average: True at inference, False in training; here or in the call, as in
            `nn.BatchNorm`.
        axis_name: mapped axis over which the batch is split (`shard_map`, `pmap`, `vmap`). Under
            plain `jit` with shardings the batch is global already and none is needed.

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
        Byeon & Lee, sections 2.1 and 2.2; `flax.linen.BatchNorm` for its discipline.
    """

    k: int
    importance: str | Callable[..., Array] = "kl"
    decay: float = 0.99
    use_running_average: bool | None = None
    axis_name: str | None = None

    def __call__(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        valid_B: Array | None = None,
        use_running_average: bool | None = None,
    ) -> Array:
        """The masked latent.

        Args:
            z_BxD: the latent to mask.
            mu_BxD: posterior means; `z_BxD` itself where None (a deterministic code).
            logvar_BxD: posterior log-variances; zeros where None.
            valid_B: marks the real examples of a padded batch.
            use_running_average: where the attribute is None.

        Returns:
            z_BxD with all but k columns set to zero.

        Raises:
            ValueError: k outside [1, D], shapes that differ, an unknown importance,
                `use_running_average` given twice or not at all, or inference before the first
                update. (Under `jit` the count is not known while tracing; there the output of such
                a call is NaN.)
        """
        mask_D = self.mask(
            z_BxD, mu_BxD, logvar_BxD, valid_B=valid_B, use_running_average=use_running_average
        )
        return apply_mask(z_BxD, mask_D)

    @nn.compact
    def mask(
        self,
        z_BxD: Array,
        mu_BxD: Array | None = None,
        logvar_BxD: Array | None = None,
        *,
        valid_B: Array | None = None,
        use_running_average: bool | None = None,
    ) -> Array:
        """The mask_D that the call applies; arguments and updates as there."""
        running = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        mu_BxD = z_BxD if mu_BxD is None else mu_BxD
        logvar_BxD = jnp.zeros_like(z_BxD) if logvar_BxD is None else logvar_BxD
        _check_shapes(z_BxD, mu_BxD, logvar_BxD, valid_B)
        size = z_BxD.shape[1]

        ema = self.variable("batch_stats", "importance", jnp.zeros, (size,), jnp.float32)
        count = self.variable("batch_stats", "count", jnp.zeros, (), jnp.int32)

        if running and not self.is_initializing():
            _refuse_without_updates(count.value)
            return jnp.where(count.value > 0, batch_top_k_mask(ema.value, self.k), jnp.nan)

        importance_D = self._importance(z_BxD, mu_BxD, logvar_BxD, valid_B)
        if not self.is_initializing() and self.is_mutable_collection("batch_stats"):
            is_finite = jnp.all(jnp.isfinite(importance_D))
            updated_D = update_ema(ema.value, importance_D, count.value, self.decay)
            ema.value = jnp.where(is_finite, updated_D, ema.value)
            count.value = count.value + is_finite.astype(jnp.int32)
        return batch_top_k_mask(importance_D, self.k)

    def _importance(
        self, z_BxD: Array, mu_BxD: Array, logvar_BxD: Array, valid_B: Array | None
    ) -> Array:
        options: dict = {} if valid_B is None else {"valid_B": valid_B}
        if self.axis_name is not None and not self.is_initializing():
            options["axis_name"] = self.axis_name
        importance_D = importances.resolve(self.importance)(z_BxD, mu_BxD, logvar_BxD, **options)
        if importance_D.shape != z_BxD.shape[1:]:
            raise ValueError(
                f"importance must return shape {z_BxD.shape[1:]}, one number a dimension, "
                f"got {importance_D.shape}"
            )
        return jax.lax.stop_gradient(importance_D.astype(jnp.float32))


def _check_shapes(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array, valid_B: Array | None) -> None:
    if z_BxD.ndim != 2:
        raise ValueError(f"z must have two axes, (B, D), got shape {z_BxD.shape}")
    for name, value in (("mu", mu_BxD), ("logvar", logvar_BxD)):
        if value.shape != z_BxD.shape:
            raise ValueError(f"{name} must have the shape of z, {z_BxD.shape}, got {value.shape}")
    if valid_B is not None and valid_B.shape != z_BxD.shape[:1]:
        raise ValueError(f"valid must have shape {z_BxD.shape[:1]}, got {valid_B.shape}")


def _refuse_without_updates(count: Array) -> None:
    if not isinstance(count, jax.core.Tracer) and int(count) == 0:
        raise ValueError(
            "BatchTopK has seen no batch yet (batch_stats count is 0), so its running average "
            "cannot choose dimensions: train first, or call with use_running_average=False"
        )
