"""Tables of the report: what their columns are, how rows fill them, how they print."""

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from experiments.records.grouping import by_model
from experiments.records.intervals import Summary, paired_difference, summarise
from experiments.records.rows import Row
from experiments.study.lineup import BASELINE

# Not trained autoencoders, never the best.
REFERENCES = ("PCA", "train images", "classifier on", "nearest", "untrained")

Direction = Literal["higher", "lower", "neither"]
Tone = Literal["", "good", "bad"]
Grid = Mapping[str, Mapping[str, Summary]]  # model -> metric -> summary


@dataclass(frozen=True)
class Column:
    """A metric as printed; `substitute` names the metric that stands in where it is missing."""

    metric: str
    title: str
    decimals: int = 3
    better: Direction = "neither"
    unit: str = ""
    substitute: str = ""

    @property
    def heading(self) -> str:
        unit = f", {self.unit}" if self.unit else ""
        return (
            self.title
            + unit
            + {"higher": "\u00a0↑", "lower": "\u00a0↓", "neither": ""}[self.better]
        )

    def format(self, summary: Summary, signed: bool = False) -> str:
        mean = f"{summary.mean:{'+' if signed else ''}.{self.decimals}f}"
        if summary.rounds is not None:
            smallest, largest = (f"{value:.{self.decimals}f}" for value in summary.rounds)
            return f"{mean} ({smallest} to {largest})"
        if summary.half_width is None:
            return mean
        return f"{mean} ± {summary.half_width:.{self.decimals}f}"


class Cell(NamedTuple):
    """A text, in bold where `strong`, with a note below it that may be good news or bad."""

    text: str
    strong: bool = False
    note: str = ""
    tone: Tone = ""


class Table(NamedTuple):
    title: str
    header: Sequence[str]
    body: Sequence[Sequence[Cell]]
    note: str = ""


def measured(rows: Iterable[Row], columns: Sequence[Column]) -> Grid:
    """Every model's mean over seeds."""

    def summary(rows: list[Row], column: Column) -> Summary | None:
        return summarise(rows, column.metric) or summarise(rows, column.substitute)

    return _grid(by_model(rows), columns, summary)


def differences(rows: Iterable[Row], columns: Sequence[Column]) -> Grid:
    """Every model's mean difference to the baseline, over the seeds that both have.

    Metrics of which neither direction is better are left out.
    """
    models = by_model(rows)
    baseline = models.pop(BASELINE, [])

    def summary(rows: list[Row], column: Column) -> Summary | None:
        return paired_difference(rows, baseline, column.metric)

    return _grid(models, [column for column in columns if column.better != "neither"], summary)


def _grid(
    models: Mapping[str, list[Row]],
    columns: Sequence[Column],
    summary: Callable[[list[Row], Column], Summary | None],
) -> Grid:
    grid = {}
    for model, rows in models.items():
        cells = {column.metric: found for column in columns if (found := summary(rows, column))}
        if cells:
            grid[model] = cells
    return grid


def metric_table(title: str, grid: Grid, columns: Sequence[Column], note: str = "") -> Table:
    """Models down, metrics across, the best trained autoencoder of each metric in bold."""
    shown = used(columns, grid)
    return Table(title, header(shown), list(metric_lines(grid, shown)), note)


def difference_table(title: str, grid: Grid, columns: Sequence[Column], note: str = "") -> Table:
    """Models down, differences across, those whose interval leaves out zero in bold."""

    def excludes_zero(model: str, column: Column) -> bool:
        found = grid[model][column.metric]
        return found.half_width is not None and abs(found.mean) > found.half_width

    shown = used(columns, grid)
    return Table(title, header(shown), list(_lines(grid, shown, excludes_zero, signed=True)), note)


def used(columns: Iterable[Column], *grids: Grid) -> list[Column]:
    """The columns that have a value in one of the grids."""
    metrics = {metric for grid in grids for cells in grid.values() for metric in cells}
    return [column for column in columns if column.metric in metrics]


def header(columns: Iterable[Column]) -> list[str]:
    """What stands above a column of models and these."""
    return ["model", *(column.heading for column in columns)]


def metric_lines(grid: Grid, columns: Sequence[Column]) -> Iterator[list[Cell]]:
    """One line for each model, the best trained autoencoder of each metric in bold."""

    def is_best(model: str, column: Column) -> bool:
        rivals = {
            name: cells[column.metric].mean
            for name, cells in grid.items()
            if column.metric in cells and not name.startswith(REFERENCES)
        }
        if column.better == "neither" or model not in rivals or len({*rivals.values()}) == 1:
            return False
        return rivals[model] == (max if column.better == "higher" else min)(rivals.values())

    yield from _lines(grid, columns, is_best, signed=False)


def _lines(
    grid: Grid,
    columns: Sequence[Column],
    strong: Callable[[str, Column], bool],
    signed: bool,
) -> Iterator[list[Cell]]:
    for model, cells in grid.items():
        line = [Cell(model)]
        for column in columns:
            summary = cells.get(column.metric)
            text = column.format(summary, signed) if summary else ""
            line.append(Cell(text, bool(summary) and strong(model, column)))
        yield line


def escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text)


def pipe_table(lines: Iterable[Sequence[str]]) -> str:
    r"""Lines of cells as a Markdown table; the second line says how columns are aligned.

    Examples:
        >>> print(pipe_table([["score"], ["---"], ["|mu|"]]), end="")
        | score |
        | --- |
        | \|mu\| |
    """
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def to_markdown(table: Table) -> str:
    def line(texts: Iterable[str]) -> str:
        return "| " + " | ".join(texts) + " |"

    def inline(cell: Cell) -> str:
        text = escape_markdown(cell.text)
        note = f"; {escape_markdown(cell.note)}" if cell.note else ""
        return (f"**{text}**" if cell.strong else text) + note

    lines = [
        f"**{escape_markdown(table.title)}**",
        "",
        line(map(escape_markdown, table.header)),
        line(["---", *["---:"] * (len(table.header) - 1)]),
        *(line(map(inline, row)) for row in table.body),
    ]
    return "\n".join([*lines, "", escape_markdown(table.note)] if table.note else lines)


def to_html(table: Table) -> str:
    def inline(cell: Cell) -> str:
        text = html.escape(cell.text)
        tone = f' class="{cell.tone}"' if cell.tone else ""
        note = f"<small{tone}>{html.escape(cell.note)}</small>" if cell.note else ""
        return (f"<strong>{text}</strong>" if cell.strong else text) + note

    def row(model: Cell, *cells: Cell) -> str:
        values = "".join(f"<td>{inline(cell)}</td>" for cell in cells)
        return f'<tr><th scope="row">{inline(model)}</th>{values}</tr>'

    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in table.header)
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="table" tabindex="0"><table>'
        f"<caption><span>{html.escape(table.title)}</span></caption>"
        f"<thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(row(*cells) for cells in table.body)}</tbody></table></div>{note}"
    )
