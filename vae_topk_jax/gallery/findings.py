"""Everything that a gallery says of the latents, before it is written."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from vae_topk_jax.data import as_float
from vae_topk_jax.data.rows import Images
from vae_topk_jax.gallery.activity import CHOICES, Activity, observe
from vae_topk_jax.gallery.comparison import SAME, Match, Stitch, match, stitches
from vae_topk_jax.gallery.directions import decoder_directions, layout, nearest, thresholds
from vae_topk_jax.gallery.options import GalleryOptions
from vae_topk_jax.models.dictionary import Dictionary
from vae_topk_jax.statistics import find_statistics
from vae_topk_jax.vectors import unit_rows

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference


DENSE = 0.5  # of the inputs, from which on a latent counts as dense
_NEAR, _LABELS, _SIBLINGS, _COMPONENTS = 8, 12, 8, 8
_DERIVATIVES = 16  # inputs at whose codes the decoder is differentiated


@dataclasses.dataclass(frozen=True, eq=False)
class Findings:
    """What was found of a model's latents on some inputs.

    Attributes:
        model, images, options: what was looked at.
        activity: counts, extremes and examples.
    """

    model: "Inference"
    images: Images
    options: GalleryOptions
    activity: Activity

    @classmethod
    def of(cls, model: "Inference", images: Images, options: GalleryOptions) -> "Findings":
        """Runs the inputs through the model.

        Raises:
            ValueError: as `activity.observe`.
        """
        activity = observe(model, images, options.labels, examples=options.examples)
        return cls(model, images, options, activity)

    @functools.cached_property
    def alive(self) -> NDArray[np.intp]:
        """The latents that are active in an input."""
        return np.flatnonzero(self.activity.active_D)

    @functools.cached_property
    def bases(self) -> list[int]:
        """Three inputs, of different labels where there are labels."""
        labels = self.options.labels
        if labels is None:
            count = len(self.images)
            return sorted({0, count // 3, 2 * count // 3})
        _, first = np.unique(labels, return_index=True)
        return [int(index) for index in first[np.linspace(0, len(first) - 1, 3).astype(int)]]

    def codes(self, index: list[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """codes_NxD of the inputs of these numbers."""
        return np.asarray(self.model.encode(as_float(self.images[np.asarray(index)])))

    @functools.cached_property
    def _directions(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        count = min(_DERIVATIVES, len(self.images))
        index = np.linspace(0, len(self.images) - 1, count).astype(int)
        return decoder_directions(self.model, self.codes(index))

    @property
    def direction_DxF(self) -> NDArray[np.float32]:
        """The decoder's directions."""
        return self._directions[0]

    @functools.cached_property
    def threshold_D(self) -> NDArray[np.float64] | None:
        """See `directions.thresholds`."""
        return thresholds(self.model)

    @functools.cached_property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """What the start page sorts by: a number for every latent."""
        found = {"frequency": self.activity.frequency_D}
        statistics = find_statistics(self.model.state.batch_stats)
        if statistics is not None:
            found["importance"] = np.asarray(statistics.importance, np.float64)
        norm_D = np.linalg.norm(self.direction_DxF.astype(np.float64), axis=1)
        if not isinstance(self.model.model, Dictionary):
            found["sensitivity"] = self._directions[1]
        if self.activity.by_label_DxL is not None:
            found["purity"] = self.activity.purity_D
        strongest_D = np.maximum(self.activity.highest_D, -self.activity.lowest_D)
        return found | {"norm": norm_D, "mean": self.activity.mean_D, "strongest": strongest_D}

    @functools.cached_property
    def label_D(self) -> NDArray[np.intp] | None:
        """The label most frequent among the inputs of each latent."""
        by_label_DxL = self.activity.by_label_DxL
        return None if by_label_DxL is None else by_label_DxL.argmax(axis=1)

    @functools.cached_property
    def place_MxX(self) -> NDArray[np.float64]:
        """Where each living latent lies on the map."""
        return layout(self.direction_DxF[self.alive])

    @functools.cached_property
    def other(self) -> "Findings | None":
        """The model that this one is compared with, on the same inputs."""
        against = self.options.against
        if against is None:
            return None
        return Findings.of(against, self.images, GalleryOptions(labels=self.options.labels))

    @functools.cached_property
    def match(self) -> Match | None:
        """The matching of the living latents of both models, as their numbers."""
        if self.other is None or not len(self.alive) or not len(self.other.alive):
            return None
        found = match(*(x.direction_DxF[x.alive] for x in (self, self.other)))
        return found._replace(
            ours_P=self.alive[found.ours_P], theirs_P=self.other.alive[found.theirs_P]
        )

    @functools.cached_property
    def stitches(self) -> dict[int, Stitch]:
        """What stitching makes of the living latents; nothing but for two dictionaries."""
        if self.match is None or self.other is None:
            return {}
        if not all(isinstance(x.model.model, Dictionary) for x in (self, self.other)):
            return {}
        theirs, ours = (x.direction_DxF[x.alive] for x in (self.other, self))
        return {
            int(self.alive[latent]): Stitch(
                stitch.kind,
                self.alive[stitch.added].tolist(),
                self.other.alive[stitch.removed].tolist(),
            )
            for latent, stitch in stitches(theirs, ours).items()
        }

    @functools.cached_property
    def meta_MxD(self) -> NDArray[np.float32] | None:
        """The meta-latents of the living latents' directions."""
        if self.options.meta is None or not len(self.alive):
            return None
        unit = np.asarray(unit_rows(jnp.asarray(self.direction_DxF[self.alive])))[:, None, None, :]
        return np.asarray(self.options.meta.encode(unit))

    def records(self) -> Iterator[dict[str, Any]]:
        """What the page of each latent says, without its pictures."""
        is_alive_D = self.activity.active_D > 0
        neighbours = nearest(self.direction_DxF, is_alive_D, _NEAR)
        row_D = np.cumsum(is_alive_D) - 1
        partner = self._partners()
        for latent, (near, cosine) in enumerate(neighbours):
            record: dict[str, Any] = {"near": pairs(near, cosine)}
            if is_alive_D[latent]:
                record |= self._living(latent, int(row_D[latent]))
            if latent in partner:
                record["partner"] = partner[latent]
            if self.options.history is not None:
                record["history"] = [float(line[latent]) for line in self.options.history["values"]]
            yield record

    def _living(self, latent: int, row: int) -> dict[str, Any]:
        activity = self.activity
        edges, counts = activity.histograms.of(latent)
        record: dict[str, Any] = {
            "examples": {
                choice: pairs(*found)
                for choice in CHOICES
                if len((found := activity.of(choice, latent)).index_N)
            },
            "histogram": {"edges": [short(x) for x in edges], "counts": counts.tolist()},
        }
        if self.threshold_D is not None:
            record["histogram"]["threshold"] = short(self.threshold_D[latent])
        share_D = activity.together.jaccard(latent)
        share_D[latent] = 0.0
        first = np.argsort(-share_D, kind="stable")[:_NEAR]
        record["together"] = pairs(*(x[share_D[first] > 0] for x in (first, share_D[first])))
        if activity.by_label_DxL is not None and activity.of_label_L is not None:
            share_L = activity.by_label_DxL[latent] / np.maximum(activity.of_label_L, 1)
            first = np.argsort(-share_L, kind="stable")[:_LABELS]
            record["labels"] = sorted(
                pairs(*(x[share_L[first] > 0] for x in (first, share_L[first])))
            )
        if self.model.info.image_shape[:2] == (1, 1):
            direction_F = self.direction_DxF[latent]
            first = np.argsort(-np.abs(direction_F), kind="stable")[:_COMPONENTS]
            record["components"] = pairs(first, direction_F[first])
        if self.meta_MxD is not None:
            record["meta"] = self._meta(latent, row)
        if latent in self.stitches:
            record["stitch"] = self.stitches[latent]._asdict()
        return record

    def _meta(self, latent: int, row: int) -> list[list[Any]]:
        """[meta-latent, its value, latents that have it too] of each active meta-latent."""
        assert self.meta_MxD is not None
        active = np.flatnonzero(self.meta_MxD[row])
        lines = []
        for meta in active[np.argsort(-np.abs(self.meta_MxD[row, active]), kind="stable")]:
            value_M = np.abs(self.meta_MxD[:, meta])
            value_M[row] = 0.0
            first = np.argsort(-value_M, kind="stable")[:_SIBLINGS]
            siblings = self.alive[first[value_M[first] > 0]].tolist()
            lines.append([int(meta), short(self.meta_MxD[row, meta]), siblings])
        return lines

    def _partners(self) -> dict[int, list[Any]]:
        """latent -> [partner or None, |cosine|], matched where that is at least 0.7; else what is
        nearest is given by its cosine alone."""
        if self.match is None:
            return {}
        found: dict[int, list[Any]] = {
            int(ours): [int(theirs), short(cosine)]
            for ours, theirs, cosine in zip(
                self.match.ours_P, self.match.theirs_P, self.match.cosine_P, strict=True
            )
            if cosine >= SAME
        }
        for latent, best in zip(self.alive.tolist(), self.match.best_ours_M, strict=True):
            found.setdefault(latent, [None, short(best)])
        return found


def pairs(index: NDArray, value: NDArray) -> list[list[Any]]:
    """[[index, value], ...] as JSON has them.

    Examples:
        >>> pairs(np.array([3]), np.array([0.123456]))
        [[3, 0.1235]]
    """
    return [[int(i), short(x)] for i, x in zip(index, value, strict=True)]


def short(value: float) -> float:
    """The value to four digits, which is what the pages show."""
    return float(f"{float(value):.4g}")
