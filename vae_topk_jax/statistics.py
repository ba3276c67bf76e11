"""What training leaves for inference: the running averages of batch Top-K."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.ema import update_ema

# Below this running frequency a dimension is dead.
DEAD = 1e-3


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("importance", "frequency", "threshold", "count"),
    meta_fields=(),
)
@dataclasses.dataclass(frozen=True)
class TopKStatistics:
    """What a `BatchTopK` keeps of the batches it has seen.

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

    @classmethod
    def zeros(cls, size: int) -> "TopKStatistics":
        """Those of no batch, for D = `size` dimensions.

        Examples:
            >>> TopKStatistics.zeros(64).importance.shape
            (64,)
        """
        zeros_D, zero = jnp.zeros(size, jnp.float32), jnp.zeros((), jnp.float32)
        return cls(zeros_D, zeros_D, zero, jnp.zeros((), jnp.int32))

    def updated(
        self, observed: "TopKStatistics", decay: float, calibrate_after: int = 0
    ) -> "TopKStatistics":
        """One more batch, see `vae_topk_jax.update_ema`.

        A batch whose importance or threshold is not finite changes nothing; one of which no entry
        passes, so that its threshold is infinite, leaves the threshold as it was.

        Args:
            observed: the statistics of that batch alone.
            decay: of the running averages.
            calibrate_after: how many batches the average of the threshold leaves out; until there
                are enough others it is that of about the last tenth of all.
        """
        kept_any = observed.threshold < jnp.inf
        values = {
            "importance": observed.importance,
            "frequency": observed.frequency,
            "threshold": jnp.where(kept_any, observed.threshold, self.threshold),
        }
        is_finite = jnp.all(jnp.isfinite(jnp.concatenate([jnp.ravel(v) for v in values.values()])))
        seen = self.count.astype(jnp.float32)
        counts = dict.fromkeys(values, seen)
        counts["threshold"] = jnp.maximum(seen - calibrate_after, 0.1 * seen)
        averages = {}
        for name, value in values.items():
            earlier = getattr(self, name)
            average = update_ema(earlier, value, counts[name], decay)
            averages[name] = jnp.where(is_finite, average, earlier)
        return TopKStatistics(**averages, count=self.count + is_finite.astype(jnp.int32))


NAMES = tuple(field.name for field in dataclasses.fields(TopKStatistics))


def all_statistics(batch_stats: Mapping[str, Any]) -> dict[str, TopKStatistics]:
    """The statistics of every `BatchTopK` in a model's `batch_stats`, by the path of the layer.

    Examples:
        >>> layer = vars(TopKStatistics.zeros(3))
        >>> list(all_statistics({"encoder": {"BatchTopK_0": layer}, "BatchTopK_0": layer}))
        ['encoder/BatchTopK_0', 'BatchTopK_0']
    """
    if batch_stats.keys() == set(NAMES):
        return {"": TopKStatistics(**batch_stats)}
    return {
        f"{name}/{path}".rstrip("/"): found
        for name, inner in batch_stats.items()
        if isinstance(inner, Mapping)
        for path, found in all_statistics(inner).items()
    }


def find_statistics(batch_stats: Mapping[str, Any]) -> TopKStatistics | None:
    """The statistics of all latents of a model, from its `batch_stats`; None if it has none.

    Those of several `BatchTopK` are joined in the order of the layers' names (2 before 10):
    importance and frequency one layer after the other, for each dimension the threshold of its
    layer, threshold_D, and the smallest count. `all_statistics` gives each layer by itself.

    Examples:
        >>> find_statistics({"encoder": {"norm": {"mean": 0, "var": 1}}}) is None
        True
        >>> layers = {f"level_{size}": vars(TopKStatistics.zeros(size)) for size in (10, 2)}
        >>> find_statistics(layers).importance.shape
        (12,)
    """
    found = all_statistics(batch_stats)
    layers = [found[path] for path in sorted(found, key=_with_numbers)]
    if len(layers) < 2:
        return next(iter(layers), None)
    return TopKStatistics(
        importance=jnp.concatenate([layer.importance for layer in layers]),
        frequency=jnp.concatenate([layer.frequency for layer in layers]),
        threshold=jnp.concatenate(
            [jnp.full_like(layer.importance, layer.threshold) for layer in layers]
        ),
        count=jnp.min(jnp.stack([layer.count for layer in layers])),
    )


def _with_numbers(path: str) -> list[tuple[int, str]]:
    """What sorts a path with its numbers as numbers."""
    return [(int(x), "") if x.isdigit() else (-1, x) for x in re.split(r"(\d+)", path)]
