"""The figures of one experiment, drawn from rows alone."""

import itertools
import re
from collections.abc import Iterable, Sequence

import matplotlib

from experiments.records.rows import Row
from experiments.reporting.document import Picture
from experiments.reporting.figures.points import draw_points
from experiments.reporting.figures.style import STYLE, Drawing
from experiments.reporting.layout import Experiment


def draw_pictures(experiment: Experiment, rows: Sequence[Row]) -> list[Picture]:
    """Every figure that the experiment draws of the rows of one of its variants, first its points.

    Where a model has several seeds, its first one is drawn.
    """
    points = draw_points(experiment.summary, rows)
    drawings = itertools.chain(points, *(draw(rows) for draw in experiment.figures))
    return draw_all(drawings, f"{experiment.name} {rows[0].variant} ")


def draw_all(drawings: Iterable[Drawing], prefix: str = "") -> list[Picture]:
    """The drawings as files, in the style of all."""
    with matplotlib.rc_context(STYLE):
        return [
            Picture(
                _slug(prefix + drawing.name) + ".png", drawing.caption, drawing.png, drawing.photo
            )
            for drawing in drawings
        ]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
