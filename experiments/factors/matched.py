"""Models beside the beta-VAE that reconstructs as well as they do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.records.grouping import by_model
from experiments.records.intervals import Summary, summary_of
from experiments.records.rows import Row
from experiments.reporting.tables import Cell, Column, Table
from experiments.study.lineup import BASELINE

CURVE = f"{BASELINE}, beta "
LEAST_POINTS = 2


class Matched(NamedTuple):
    """How a model differs from the beta-VAE at its PSNR.

    Attributes:
        difference: over the seeds whose PSNR lies on the curve; None where there is none.
        seeds, inside: how many seeds there are, and on how many the PSNR lies on the curve.
    """

    difference: Summary | None
    seeds: int
    inside: int

    @property
    def is_above(self) -> bool:
        """Whether the whole 95 % interval lies above 0."""
        interval = self.difference.interval if self.difference else None
        return interval is not None and interval[0] > 0


def at_equal_psnr(rows: Sequence[Row], metric: str) -> dict[str, Matched]:
    """Model -> its metric minus the beta-VAE's at the same PSNR.

    The beta-VAE's metric at a PSNR is interpolated linearly between the two betas, of the same
    seed, whose PSNRs lie around it. Where none does, the seed is left out.

    Args:
        rows: of one variant.
        metric: of which the difference is taken.

    Examples:
        >>> def row(model, psnr, mig):
        ...     return Row(experiment="factors", variant="", model=model, config={}, seed=0,
        ...         data={}, metrics={"psnr": psnr, "mig": mig}, seconds=1.0)
        >>> rows = [row("beta-VAE, beta 1", 20.0, 0.2), row("beta-VAE, beta 2", 10.0, 0.4)]
        >>> found = at_equal_psnr([*rows, row("Top-K", 15.0, 0.5)], "mig")["Top-K"]
        >>> round(found.difference.mean, 6)
        0.2
    """
    models = by_model(row for row in rows if {"psnr", metric} <= row.metrics.keys())
    curves: dict[int | None, list[tuple[float, float]]] = {}
    for model, own in models.items():
        if model.startswith(CURVE):
            for row in own:
                points = curves.setdefault(row.seed, [])
                points.append((row.metrics["psnr"], row.metrics[metric]))
    return {
        model: _matched(own, metric, curves)
        for model, own in models.items()
        if not model.startswith(CURVE) and None not in {row.seed for row in own}
    }


def _matched(
    rows: Sequence[Row], metric: str, curves: dict[int | None, list[tuple[float, float]]]
) -> Matched:
    differences = []
    for row in rows:
        psnr_P, value_P = np.array(sorted(curves.get(row.seed, []))).reshape(-1, 2).T
        psnr = row.metrics["psnr"]
        if len(psnr_P) >= LEAST_POINTS and psnr_P[0] <= psnr <= psnr_P[-1]:
            differences.append(row.metrics[metric] - float(np.interp(psnr, psnr_P, value_P)))
    return Matched(summary_of(differences), len(rows), len(differences))


def matched_table(rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    """Models down, differences to the beta-VAE at equal PSNR across; in bold where the interval
    leaves out 0."""
    found = {column: at_equal_psnr(rows, column.metric) for column in columns}
    models = list(dict.fromkeys(model for cells in found.values() for model in cells))
    body = []
    for model in models:
        those = [cells[model] for cells in found.values() if model in cells]
        line = [Cell(model), Cell(f"{those[0].inside} of {those[0].seeds}")]
        for column, cells in found.items():
            difference = cells[model].difference if model in cells else None
            text = column.format(difference, signed=True) if difference else ""
            interval = difference.interval if difference else None
            strong = interval is not None and not interval[0] <= 0 <= interval[1]
            line.append(Cell(text, strong))
        body.append(line)
    header = ["model", "seeds on the curve", *(column.heading for column in columns)]
    return Table("Minus the beta-VAE at equal PSNR", header, body)
