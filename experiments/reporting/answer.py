"""The answer at the head of a report: one picture, and a small table beside the paper's figures."""

from collections.abc import Iterator, Sequence

from experiments.records.grouping import by_variant
from experiments.records.rows import Row
from experiments.reporting.document import Beside, Block
from experiments.reporting.figures.answer import MODELS, draw_answer
from experiments.reporting.figures.draw import draw_all
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Cell, Table, header, measured, metric_lines, used

Shown = Sequence[tuple[Experiment, Sequence[Row]]]


def answer(shown: Shown) -> Iterator[Block]:
    """The picture beside the small tables of the experiments that the paper has too."""
    of_paper = [(experiment, rows) for experiment, rows in shown if experiment.paper]
    tables = [summary_table(experiment, rows) for experiment, rows in of_paper]
    pictures = draw_all(draw_answer([row for _, rows in of_paper for row in rows]))
    if pictures and tables:
        yield Beside(pictures, tables)
    else:
        yield from pictures
        yield from tables


def summary_table(experiment: Experiment, rows: Sequence[Row]) -> Table:
    """The paper's models and the default in every variant; below them what the paper printed."""
    grids = {
        variant: measured([row for row in same if row.model in MODELS], experiment.summary)
        for variant, same in by_variant(rows).items()
    }
    printed, further, note = experiment.paper or ({}, (), "")
    own = {column.metric for column in experiment.summary}
    further = [column for column in further if column.metric not in own]
    columns = used((*experiment.summary, *further), *grids.values(), printed)
    body = []
    for variant, grid in grids.items():
        for model, *cells in metric_lines(grid, columns):
            body.append([Cell(MODELS[model.text], note=variant), *cells])
    for model, *cells in metric_lines(printed, columns):
        body.append([Cell(f"the paper: {model.text}"), *cells])
    return Table(experiment.title, header(columns), body, note)
