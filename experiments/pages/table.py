"""A table of committed results, as a page shows it."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.records.intervals import Summary, summarise
from experiments.records.rows import Row, read_results
from experiments.reporting.tables import Column, pipe_table

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
_MIN_SEEDS = 3  # for an interval

_SHOWN = {
    "train images (floor)": "training images (floor)",
    "Top-K by dimension, mean |z|": "Top-K by dimension, mean |z| (the paper)",
    "Top-K by dimension": "Top-K by dimension, KL",
    "Top-K by element": "**Top-K by element (default)**",
    "dimension: mean |z|, the paper": "by dimension, mean |z| (the paper)",
    "element: |mu| x sensitivity": "**by element, |mu| x sensitivity (default)**",
}
_RULES = {"dimension": "by dimension", "element": "by element", "sample": "per sample"}


@dataclass(frozen=True)
class PageTable:
    """A table of a page.

    Attributes:
        folder: of the results, under `experiments/results`.
        experiment: whose rows it shows.
        columns: (variant, column) of each column.
        corner: what stands above the names of the models.
        models: which ones, in order; all if none is named.
        last: rows of text below them, of one cell per column.
        beside: heading -> model -> text of further columns on the right.
    """

    folder: str
    experiment: str
    columns: Sequence[tuple[str, Column]]
    corner: str = ""
    models: Sequence[str] = ()
    last: Sequence[Sequence[str]] = ()
    beside: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def markdown(self, words: Mapping[str, str]) -> str:
        """The table's lines, with what `words` has in place of a cell, and without the columns in
        which no row has a value.

        Raises:
            ValueError: as `check_epochs`.
        """
        variants = {variant for variant, _ in self.columns}
        rows = [
            row
            for row in rows_of(self.folder)
            if row.experiment == self.experiment and row.variant in variants
        ]
        check_epochs(self.folder, rows)
        lines = [[self.corner, *(column.heading for _, column in self.columns), *self.beside]]
        for model in self.models or dict.fromkeys(row.model for row in rows):
            further = [_in_italics(texts.get(model, "")) for texts in self.beside.values()]
            lines.append([_shown(model), *self._cells(rows, model), *further])
        lines += [[_in_italics(text) for text in line] for line in self.last]
        used = [not i or any(line[i] for line in lines[1:]) for i in range(len(lines[0]))]
        lines = [list(itertools.compress(line, used)) for line in lines]
        lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
        return pipe_table([words.get(cell, cell) for cell in line] for line in lines)

    def _cells(self, rows: Sequence[Row], model: str) -> Iterator[str]:
        for variant, column in self.columns:
            those = [row for row in rows if (row.variant, row.model) == (variant, model)]
            summary = summarise(those, column.metric) or summarise(those, column.substitute)
            yield _format(column, summary) if summary else ""


def check_epochs(folder: str, rows: Iterable[Row]) -> None:
    """Refuses models that stand side by side and were trained for different numbers of epochs.

    Args:
        folder: of the results, for the message.
        rows: of one experiment; those of one variant stand side by side.

    Raises:
        ValueError: rows of one variant with different `epochs`.
    """
    found: dict[str, set[int]] = {}
    for row in rows:
        if epochs := row.config.get("epochs"):
            found.setdefault(row.variant, set()).add(epochs)
    for variant, epochs in found.items():
        if len(epochs) > 1:
            told = " and ".join(map(str, sorted(epochs)))
            raise ValueError(f"results of {folder}, {variant}: rows of {told} epochs side by side")


def _in_italics(text: str) -> str:
    return text and f"*{text}*"


def _shown(model: str) -> str:
    rule, _, ranking = model.partition(": ")
    is_ranked = ranking and rule in _RULES
    return _SHOWN.get(model) or (f"{_RULES[rule]}, {ranking}" if is_ranked else model)


def _format(column: Column, summary: Summary) -> str:
    has_interval = summary.n >= _MIN_SEEDS and column.better != "neither"
    return column.format(summary if has_interval else summary._replace(half_width=None))


@functools.cache
def rows_of(folder: str) -> Sequence[Row]:
    """The rows of the committed results in that folder."""
    return read_results(RESULTS / folder).rows
