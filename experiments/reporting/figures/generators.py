"""Generators: how well they reconstruct, and how good their samples are."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.records.grouping import by_model, by_variant
from experiments.records.rows import Row
from experiments.reporting.figures.fronts import PSNR, Goal, front
from experiments.reporting.figures.strips import Strip, draw_strips, images_of
from experiments.reporting.figures.style import DENSE, FAMILIES, WIDTH, Drawing
from experiments.study.lineup import BASELINE

_CAPTION = (
    "Every model, mean over seeds: PSNR of images that it was not trained on, and FID-clf of its "
    "best prior's samples. The line joins those that no other beats in both."
)
_SAMPLES = Goal("FID-clf, best prior", ["fid_clf"], False)


class Best(NamedTuple):
    """A model, and its prior with the lowest FID-clf.

    Attributes:
        floor: the rows of the model's reconstructions.
        prior: its title.
        rows: those of the prior.
    """

    floor: Sequence[Row]
    prior: str
    rows: Sequence[Row]


def draw_generators(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The front of all models of which a prior is measured.

    Args:
        rows: the variant is the model, the model is the prior; PSNR stands in the row of the floor.
    """
    if found := _best_priors(rows):
        points_Nx2 = np.array(
            [(_SAMPLES.of(best.rows), PSNR.of(best.floor)) for best in found.values()]
        )
        yield Drawing("generators", _CAPTION, _plot([*found], points_Nx2))


def draw_best_samples(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The first ten images of each model's best prior, of its first seed."""
    strips = [
        Strip(f"{model}: {best.prior}", images)
        for model, best in _best_priors(rows).items()
        for images in images_of(best.rows, "generated").values()
    ]
    if strips:
        caption = "The first images of the best prior of each model."
        yield Drawing("generated", caption, draw_strips(strips), photo=True)


def _best_priors(rows: Sequence[Row]) -> dict[str, Best]:
    found = {}
    for model, own in by_variant(rows).items():
        floor = [row for row in own if "psnr" in row.metrics]
        priors = by_model(row for row in own if "psnr" not in row.metrics)
        if floor and priors:
            prior = min(priors, key=lambda title: _SAMPLES.of(priors[title]))
            found[model] = Best(floor, prior, priors[prior])
    return found


def _plot(titles: Sequence[str], points_Nx2: np.ndarray) -> Figure:
    figure = Figure((WIDTH, 3.2 + 0.1 * len(titles)), layout="constrained")
    axes = figure.subplots()
    best_Mx2 = points_Nx2[front(points_Nx2 * [-1.0, 1.0])]
    axes.plot(*best_Mx2[np.argsort(best_Mx2[:, 0])].T, color="0.6", zorder=1)
    for number, (title, point) in enumerate(zip(titles, points_Nx2, strict=True), start=1):
        is_dense = title.startswith((BASELINE, "dense VAE"))
        colour = DENSE if is_dense else FAMILIES["dimension"]
        axes.plot(
            point[0],
            point[1],
            linestyle="none",
            marker=f"${number}$",
            markersize=7,
            color=colour,
            label=title,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.margins(0.08)
    axes.set_xlabel("FID-clf, best prior (less is better)")
    axes.set_ylabel(PSNR.title)
    figure.legend(loc="outside lower left", frameon=False, ncols=2, fontsize="small")
    return figure
