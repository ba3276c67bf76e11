"""What a reproduction found, in a terminal."""

import collections
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from experiments.records.grouping import by_variant
from experiments.records.rows import Row, current_rows
from experiments.reporting.claims import CLAIMS, FAILS, OPEN, REPLICATES, claims
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column, Grid, measured

_VERDICTS = {REPLICATES: "replicates", FAILS: "does not", OPEN: "needs more seeds"}


def summary(rows: Sequence[Row], layouts: Sequence[Experiment]) -> Group:
    """The tables of the paper with its own figures below ours, and the verdict on each claim.

    Args:
        rows: all that were measured.
        layouts: the experiments that the paper has a table of.
    """
    rows = current_rows(rows)
    return Group(*(table_beside_paper(rows, layout) for layout in layouts), claims_lines(rows))


def table_beside_paper(rows: Sequence[Row], layout: Experiment) -> Table:
    """The metrics that the paper prints or makes a claim of: ours by variant, then the paper's."""
    columns = _columns(layout)
    table = _table(layout.title, layout.paper.note if layout.paper else "")
    table.add_column(no_wrap=True)
    for column in columns:
        table.add_column(escape(column.heading), justify="right")
    for variant, inside in by_variant(row for row in rows if row.experiment == layout.name).items():
        _add_section(table, variant, measured(inside, columns), columns)
    if layout.paper:
        _add_section(table, "the paper", layout.paper.grid, columns)
    return table


def claims_lines(rows: Sequence[Row]) -> RenderableType:
    """One line per claim: for how many of the Top-K models and variants it replicates."""
    verdicts: dict[str, list[str]] = collections.defaultdict(list)
    for finding in claims(rows):
        verdicts[finding.claim.text].append(finding.verdict)
    table = _table("The paper's claims about Top-K beside the beta-VAE")
    table.add_column("claim")
    table.add_column("verdict")
    for text, found in verdicts.items():
        table.add_row(escape(text), "; ".join(_counted(found)))
    return table if verdicts else Text("")


def _counted(verdicts: Sequence[str]) -> Iterator[str]:
    """Each verdict, with the number of models where they differ."""
    counts = collections.Counter(verdicts)
    for verdict, words in _VERDICTS.items():
        if count := counts[verdict]:
            yield words if count == len(verdicts) else f"{words}: {count} of {len(verdicts)}"


def _columns(layout: Experiment) -> list[Column]:
    printed = {column.metric: column for column in (layout.paper.columns if layout.paper else ())}
    wanted = {claim.metric for claim in CLAIMS if claim.experiment == layout.name} | set(printed)
    own = [column for column in layout.columns if column.metric in wanted]
    return own + [printed[name] for name in printed.keys() - {column.metric for column in own}]


def _table(title: str, caption: str = "") -> Table:
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _add_section(table: Table, name: str, grid: Grid, columns: Sequence[Column]) -> None:
    if grid:
        table.add_section()
        table.add_row(Text(name, style="italic"))
    for model, cells in grid.items():
        texts = (
            column.format(cells[column.metric]) if column.metric in cells else ""
            for column in columns
        )
        table.add_row(escape(model), *texts)
