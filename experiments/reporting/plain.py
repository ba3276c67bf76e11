"""How the rows of an experiment are shown that has no layout of its own."""

from collections.abc import Iterator, Sequence

from experiments.records.rows import Row
from experiments.reporting import comparison
from experiments.reporting.columns import columns_of
from experiments.reporting.figures.strips import (
    draw_latents,
    draw_noise,
    draw_reconstructions,
    draw_samples,
)
from experiments.reporting.figures.training_curves import draw_importance, draw_losses
from experiments.reporting.layout import Experiment

FIGURES = (
    draw_reconstructions,
    draw_samples,
    draw_noise,
    draw_latents,
    draw_importance,
    draw_losses,
)


def plain_layouts(rows: Sequence[Row], layouts: Sequence[Experiment]) -> Iterator[Experiment]:
    """A layout of each experiment that has none: every metric, every figure."""
    for name in dict.fromkeys(row.experiment for row in rows):
        if name not in {layout.name for layout in layouts}:
            inside = [row for row in rows if row.experiment == name]
            if name == comparison.NAME:
                yield comparison.layout(inside, FIGURES)
            else:
                yield Experiment(
                    name, name, "", columns_of(row.metrics for row in inside), figures=FIGURES
                )
