"""Pareto fronts of an ablation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.grouping import by_model
from experiments.records.intervals import summarise
from experiments.records.rows import Row
from experiments.reporting.columns import SAMPLERS
from experiments.reporting.figures.style import DENSE, FAMILIES, WIDTH, Drawing
from experiments.study.lineup import BASELINE

CAPTION = (
    "Every variant, mean over seeds. Those that no other beats in both are numbered; where all "
    "latents are active, in the panel of active latents only."
)


class Goal(NamedTuple):
    """An axis: a metric of a row, and whether more of it is better."""

    title: str
    metrics: Sequence[str]
    more_is_better: bool

    def of(self, rows: Sequence[Row]) -> float:
        """Mean over seeds of the best of the metrics."""
        means = [found.mean for name in self.metrics if (found := summarise(rows, name))]
        return max(means) if self.more_is_better else min(means)


PSNR = Goal("PSNR, dB", ["psnr"], True)
RIVALS = (
    Goal("FID-clf, best sampler", [f"fid_clf_{sampler}" for sampler in SAMPLERS], False),
    Goal("active latents per image", ["active_latents"], False),
    Goal("accuracy at sigma 0.5", ["accuracy_0.5"], True),
)


def front(points_Nx2: np.ndarray) -> np.ndarray:
    """Indices of the points that no other beats in both coordinates, larger being better.

    Examples:
        >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 1.0]])).tolist()
        [0, 1]
    """
    at_least_NxN = np.all(points_Nx2[None] >= points_Nx2[:, None], axis=2)
    better_NxN = np.any(points_Nx2[None] > points_Nx2[:, None], axis=2)
    return np.flatnonzero(~np.any(at_least_NxN & better_NxN, axis=1))


def draw_fronts(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The fronts of all variants."""
    yield Drawing("fronts", CAPTION, plot_fronts(by_model(rows)))


def plot_fronts(models: Mapping[str, Sequence[Row]]) -> Figure:
    """PSNR against generation, sparsity and robustness; what lies on a front has a number.

    Models with all latents active stand in the panel of sparsity alone.
    """
    sparse = {title: rows for title, rows in models.items() if not title.startswith(BASELINE)}
    figure = Figure((WIDTH, 2.9 * len(RIVALS) + 0.5), layout="constrained")
    panels = figure.subplots(len(RIVALS), 1, squeeze=False)[:, 0]
    for axes, goal in zip(panels, RIVALS, strict=True):
        _draw_front(axes, models if goal.metrics == ["active_latents"] else sparse, goal)
    handles = [
        panels[0].plot([], [], "o", color=colour, label=family)[0]
        for family, colour in (FAMILIES | {"baseline": DENSE}).items()
    ]
    figure.legend(handles=handles, loc="outside lower left", frameon=False, ncols=len(handles))
    return figure


def _draw_front(axes: Axes, models: Mapping[str, Sequence[Row]], goal: Goal) -> None:
    points_Nx2 = np.array([(goal.of(rows), PSNR.of(rows)) for rows in models.values()])
    signs = np.array([1.0 if goal.more_is_better else -1.0, 1.0])
    best = front(points_Nx2 * signs)
    best = best[np.argsort(points_Nx2[best, 0])]
    axes.plot(*points_Nx2[best].T, color="0.6", linewidth=1.0, zorder=1)
    for title, point in zip(models, points_Nx2, strict=True):
        axes.plot(*point, "o", color=_colour(title), markersize=4, zorder=2)
    for number, point in enumerate(points_Nx2[best], start=1):
        above = (0, 5) if number % 2 else (0, -9)
        axes.annotate(
            str(number), point, above, textcoords="offset points", fontsize=6.5, ha="center"
        )
    titles = list(models)
    names = [f"{number}  {titles[i]}" for number, i in enumerate(best, start=1)]
    side = _emptier_side(points_Nx2)
    axes.text(
        {"left": 0.02, "right": 0.98}[side],
        0.04,
        "\n".join(names),
        transform=axes.transAxes,
        fontsize=6.5,
        ha=side,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0},
    )
    axes.margins(x=0.06, y=0.12)
    axes.set_xlabel(f"{goal.title} ({'more' if goal.more_is_better else 'less'} is better)")
    axes.set_ylabel(PSNR.title)


def _emptier_side(points_Nx2: np.ndarray) -> Literal["left", "right"]:
    """The lower corner from which the nearest point is farther.

    Examples:
        >>> _emptier_side(np.array([[0.0, 0.0], [0.2, 1.0], [1.0, 1.0]]))
        'right'
    """
    low_2, size_2 = points_Nx2.min(axis=0), np.ptp(points_Nx2, axis=0)
    placed_Nx2 = (points_Nx2 - low_2) / np.where(size_2 > 0, size_2, 1.0)
    left, right = (np.linalg.norm(placed_Nx2 - corner, axis=1).min() for corner in ([0, 0], [1, 0]))
    return "left" if left > right else "right"


def _colour(title: str) -> str:
    return FAMILIES.get(title.partition(":")[0], DENSE)
