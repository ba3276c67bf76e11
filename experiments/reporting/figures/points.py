"""Every model's metrics as points with their intervals."""

import math
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.intervals import Summary
from experiments.records.rows import Row
from experiments.reporting.figures.style import DENSE, WIDTH, Drawing
from experiments.reporting.tables import Column, Grid, measured, used
from experiments.study.lineup import BASELINE

CAPTION = "The line is the beta-VAE. "
INTERVALS = "Means over seeds with 95 % intervals. "
_PER_LINE = 2


def draw_points(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[Drawing]:
    """The columns that the rows have, a panel for each."""
    grid = measured(rows, columns)
    if shown := used(columns, grid):
        several = any(cell.n > 1 for cells in grid.values() for cell in cells.values())
        caption = (INTERVALS if several else "") + CAPTION
        yield Drawing("points", caption.strip(), plot_points(grid, shown))


def plot_points(grid: Grid, columns: Sequence[Column]) -> Figure:
    """A panel for each column, a line for each model."""
    lines = math.ceil(len(columns) / _PER_LINE)
    height = (0.17 * len(grid) + 0.6) * lines
    figure = Figure((WIDTH, height), layout="constrained")
    panels = figure.subplots(lines, _PER_LINE, sharey=True, squeeze=False).ravel()
    for axes, column in zip(panels, columns, strict=False):
        _draw(axes, column, [cells.get(column.metric) for cells in grid.values()])
        if BASELINE in grid and column.metric in grid[BASELINE]:
            axes.axvline(grid[BASELINE][column.metric].mean, color=DENSE, linewidth=0.8, zorder=0)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    panels[0].set_yticks(range(len(grid)), list(grid))
    panels[0].invert_yaxis()
    return figure


def _draw(axes: Axes, column: Column, summaries: Sequence[Summary | None]) -> None:
    for line, summary in enumerate(summaries):
        if summary:
            axes.errorbar(
                summary.mean,
                line,
                xerr=summary.half_width,
                fmt="o",
                markersize=3.5,
                capsize=2,
                color="0.25",
            )
    axes.set_title(column.heading.replace("\u00a0", " "), fontsize=8.5)
