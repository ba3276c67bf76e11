"""Pareto fronts and mask churn of an ablation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.intervals import summarise
from experiments.layout import SAMPLERS
from experiments.results import Row

WIDTH = 4.5  # inches; narrow, so that a label is still readable when a phone shrinks the page
FAMILIES = {"dimension": "tab:blue", "element": "tab:orange", "sample": "tab:green"}
DENSE = "tab:red"


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
    Goal("active latents an image", ["active_latents"], False),
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


def draw_fronts(models: Mapping[str, Sequence[Row]]) -> Figure:
    """PSNR against generation, sparsity and robustness, a numbered point a variant."""
    figure = Figure((WIDTH, 2.6 * len(RIVALS) + 0.17 * len(models)), layout="constrained")
    panels = figure.subplots(len(RIVALS), 1, squeeze=False)[:, 0]
    for axes, goal in zip(panels, RIVALS, strict=True):
        _draw_front(axes, models, goal)
    handles = [
        axes.plot([], [], "o", color=_colour(title), label=f"{number}  {title}")[0]
        for number, title in enumerate(models, start=1)
    ]
    figure.legend(handles=handles, loc="outside lower left", frameon=False)
    return figure


def _draw_front(axes: Axes, models: Mapping[str, Sequence[Row]], goal: Goal) -> None:
    points_Nx2 = np.array([(goal.of(rows), PSNR.of(rows)) for rows in models.values()])
    signs = np.array([1.0 if goal.more_is_better else -1.0, 1.0])
    best = points_Nx2[front(points_Nx2 * signs)]
    best = best[np.argsort(best[:, 0])]
    axes.plot(*best.T, color="0.6", linewidth=1.0, zorder=1)
    for number, (title, point) in enumerate(zip(models, points_Nx2, strict=True), start=1):
        axes.plot(*point, "o", color=_colour(title), markersize=4, zorder=2)
        axes.annotate(str(number), point, xytext=(3, 2), textcoords="offset points", fontsize=6.5)
    axes.set_xlabel(f"{goal.title} ({'more' if goal.more_is_better else 'less'} is better)")
    axes.set_ylabel(PSNR.title)


def draw_churn(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """1 - agreement of the batch's mask with the running one over the epochs, a panel a rule."""
    rules = [rule for rule in FAMILIES if any(title.startswith(rule) for title in histories)]
    lines = max(sum(title.startswith(rule) for title in histories) for rule in rules)
    figure = Figure((WIDTH, (2.0 + 0.15 * lines) * len(rules)), layout="constrained")
    panels = figure.subplots(len(rules), 1, sharex=True, squeeze=False)[:, 0]
    for axes, rule in zip(panels, rules, strict=True):
        for title, history in histories.items():
            if title.startswith(rule):
                churn = 1.0 - np.asarray(history["agreement"])
                axes.plot(history["epoch"], churn, marker=".", label=title.partition(": ")[2])
        axes.set_title(f"by {rule}" if rule != "sample" else "per sample")
        axes.set_ylabel("churn of the mask")
        axes.legend(fontsize=6, ncols=2, frameon=False, loc="upper right")
    panels[-1].set_xlabel("epoch")
    return figure


def _colour(title: str) -> str:
    return FAMILIES.get(title.partition(":")[0], DENSE)
