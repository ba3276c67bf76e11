"""How the rows of an experiment are shown: its columns, its figures, what the paper printed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from experiments.records.intervals import Summary
from experiments.records.rows import Row
from experiments.reporting.tables import Column, Grid
from experiments.study.lineup import BASELINE

if TYPE_CHECKING:
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
        columns: of the table of each variant.
        further: title -> columns of one more table of each variant.
        figures: each draws something of the rows of one variant.
        paper: what the paper printed.
    """

    name: str
    title: str
    intro: str
    columns: Sequence[Column]
    further: Mapping[str, Sequence[Column]] = field(default_factory=dict)
    figures: Sequence[DrawFigures] = ()
    paper: Published | None = None

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
