"""How the rows of an experiment are shown: its columns, its figures, what the paper printed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from experiments.records.intervals import Summary
from experiments.records.rows import Row
from experiments.reporting.tables import Column, Grid
from experiments.study.lineup import BASELINE

if TYPE_CHECKING:
    from experiments.reporting.document import Block
    from experiments.reporting.figures.style import Drawing

DrawFigures = Callable[[Sequence[Row]], "Iterable[Drawing]"]


class Published(NamedTuple):
    """A table of the paper.

    Attributes:
        grid: its figures.
        columns: those that it has.
        note: what stands below it.
    """

    grid: Grid
    columns: Sequence[Column]
    note: str = ""


@dataclass(frozen=True)
class Experiment:
    """How the rows of one experiment are shown.

    Attributes:
        name: that of the rows.
        title: of its section.
        intro: the sentences above the tables.
        opening: makes tables and pictures, above the tables of the metrics, of all rows.
        columns: of the table of each variant.
        further: title -> columns of one more table of each variant.
        summary: columns of the small table at the head of the report, and of the figure of points.
        figures: each draws something of the rows of one variant.
        paper: what the paper printed.
        variants, models: those that the full protocol has; a report says which are missing.
    """

    name: str
    title: str
    intro: str
    columns: Sequence[Column]
    opening: Callable[[Sequence[Row]], "Iterable[Block]"] = lambda rows: ()
    further: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    summary: Sequence[Column] = ()
    figures: Sequence[DrawFigures] = ()
    paper: Published | None = None
    variants: Sequence[str] = ()
    models: Sequence[str] = ()

    @property
    def heading(self) -> str:
        """The title up to its colon."""
        return self.title.partition(":")[0]

    @property
    def tables(self) -> dict[str, Sequence[Column]]:
        """Title -> columns of every table; that of `columns` needs no title."""
        return {"": self.columns, **self.further}


def published(beta_vae: Mapping[str, float], top_k: Mapping[str, float]) -> Grid:
    """The paper's figures of its two models, metric by metric.

    Examples:
        >>> published({"psnr": 21.5}, {"psnr": 14.2})["Batch Top-K"]["psnr"].mean
        14.2
    """
    return {
        model: {metric: Summary(value, None, 1) for metric, value in values.items()}
        for model, values in ((BASELINE, beta_vae), ("Batch Top-K", top_k))
    }
