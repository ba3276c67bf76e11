"""Metrics of runs over the one setting in which they differ."""

import math
import statistics
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.rows import Row
from experiments.reporting.figures.style import WIDTH, Drawing
from experiments.reporting.tables import Column

_PER_LINE = 2
_WIDE = 8  # from this ratio of the largest to the smallest value on, the axis is logarithmic


def draw_sweep(setting: str, columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[Drawing]:
    """Every metric over a numeric setting, a point for each run."""
    caption = f"Each metric over {setting}, a point for each run; the line runs through the means."
    yield Drawing(f"over {setting}", caption, plot_sweep(setting, columns, rows))


def plot_sweep(setting: str, columns: Sequence[Column], rows: Sequence[Row]) -> Figure:
    """A panel for each column."""
    lines = math.ceil(len(columns) / _PER_LINE)
    figure = Figure((WIDTH, 1.8 * lines + 0.2), layout="constrained")
    panels = figure.subplots(lines, _PER_LINE, squeeze=False).ravel()
    for axes, column in zip(panels, columns, strict=False):
        _draw(axes, setting, column, rows)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    return figure


def _draw(axes: Axes, setting: str, column: Column, rows: Sequence[Row]) -> None:
    measured = [row for row in rows if column.metric in row.metrics]
    points = [(row.config[setting], row.metrics[column.metric]) for row in measured]
    axes.plot(*zip(*points, strict=True), "o", markersize=3.5)
    values = sorted({value for value, _ in points})
    means = [statistics.fmean(y for x, y in points if x == value) for value in values]
    axes.plot(values, means, color="tab:blue", alpha=0.6)
    if values[0] > 0 and values[-1] >= _WIDE * values[0]:
        axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()
    axes.set_title(column.heading.replace("\u00a0", " "), fontsize=8.5)
    axes.set_xlabel(setting)
