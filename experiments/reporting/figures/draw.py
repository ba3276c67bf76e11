"""The figures of one experiment, drawn from rows alone."""

import re
from collections.abc import Sequence

import matplotlib

from experiments.records.rows import Row
from experiments.reporting.document import Picture
from experiments.reporting.figures.style import STYLE
from experiments.reporting.layout import Experiment


def draw_pictures(experiment: Experiment, rows: Sequence[Row]) -> list[Picture]:
    """Every figure that the experiment draws of the rows of one of its variants.

    Where a model has several seeds, its first one is drawn.
    """
    stem = _slug(f"{experiment.name} {rows[0].variant}")
    with matplotlib.rc_context(STYLE):
        return [
            Picture(f"{stem}-{_slug(drawing.name)}.png", drawing.caption, drawing.png)
            for draw in experiment.figures
            for drawing in draw(rows)
        ]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
