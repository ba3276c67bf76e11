"""The rate-distortion plane."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure

from experiments.records.grouping import by_model
from experiments.records.intervals import summarise
from experiments.records.rows import Row
from experiments.reporting.figures.style import DENSE, WIDTH, Drawing
from experiments.study.lineup import BASELINE

AXES = {"mse": "mean squared error per pixel", "distortion": "distortion, nats per image"}
COLOURS = [colour for colour in TABLEAU_COLORS if colour != DENSE]
CAPTION = (
    "Distortion of codes drawn from the posterior over what they cost, mean over seeds: the "
    "beta-VAE for every beta, and the other systems by number. Lower left is better."
)


class _Point(NamedTuple):
    title: str
    at: dict[str, float]  # metric -> mean over seeds
    beta: float | None  # None where the system has none


def draw_curve(rows: Sequence[Row]) -> Iterator[Drawing]:
    """Every model on the plane."""
    yield Drawing("curve", CAPTION, plot_curve(by_model(rows)))


def plot_curve(models: Mapping[str, Sequence[Row]]) -> Figure:
    """Distortion against rate: the beta-VAE over beta as a line, every other model a number."""
    points = [
        _Point(title, {m: s.mean for m in ("rate", *AXES) if (s := summarise(rows, m))}, beta)
        for title, rows in models.items()
        for beta in [rows[0].config.get("beta")]
    ]
    line = sorted(
        (point for point in points if point.title.startswith(BASELINE)),
        key=lambda point: point.at["rate"],
    )
    others = [point for point in points if not point.title.startswith(BASELINE)]
    figure = Figure((WIDTH, 3.1 * len(AXES) + 0.16 * len(others) + 0.3), layout="constrained")
    panels = figure.subplots(len(AXES), 1, sharex=True)
    for axes, (metric, title) in zip(panels, AXES.items(), strict=True):
        _draw(axes, line, others, metric)
        axes.set_ylabel(title)
    panels[0].set_yscale("log")
    panels[-1].set_xlabel("rate, nats per image")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=7)
    return figure


def _draw(axes: Axes, line: Sequence[_Point], others: Sequence[_Point], metric: str) -> None:
    curve_2xB = np.array([(point.at["rate"], point.at[metric]) for point in line]).T
    if line:
        axes.plot(*curve_2xB, "o-", color=DENSE, markersize=3, label=f"{BASELINE}, at its beta")
    for point, at in zip(line, curve_2xB.T, strict=True):
        label = f"{point.beta:g}"
        axes.annotate(label, at, (-3, -9), textcoords="offset points", fontsize=6.5, color=DENSE)
    for number, point in enumerate(others):
        axes.plot(
            point.at["rate"],
            point.at[metric],
            linestyle="",
            marker=f"${number + 1}$",
            color=COLOURS[number % len(COLOURS)],
            markersize=7,
            label=point.title,
        )
    axes.set_xscale("log")
    axes.margins(x=0.06, y=0.12)
