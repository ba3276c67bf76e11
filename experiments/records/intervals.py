"""Means over seeds with their 95 % Student-t intervals."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from experiments.records.rows import Row

# Metrics that were measured in rounds have the median's name, and these names beside it.
SMALLEST, LARGEST = "_smallest", "_largest"


class Summary(NamedTuple):
    """A mean over `n` seeds; `half_width` of its 95 % interval is None when n is 1.

    Of what was measured in rounds, `rounds` is the smallest and the largest, beside the median.
    """

    mean: float
    half_width: float | None
    n: int
    rounds: tuple[float, float] | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of the 95 % interval."""
        if self.half_width is None:
            return None
        return self.mean - self.half_width, self.mean + self.half_width


def summarise(rows: Iterable[Row], metric: str) -> Summary | None:
    """The mean of a metric over rows that differ in their seed; None if no row has it."""
    rows = list(rows)
    summary = summary_of(list(_by_seed(rows, metric).values()))
    names = metric + SMALLEST, metric + LARGEST
    if summary is None or summary.n > 1 or not all(name in rows[0].metrics for name in names):
        return summary
    smallest, largest = (rows[0].metrics[name] for name in names)
    return summary._replace(rounds=(smallest, largest))


def paired_difference(rows_a: Iterable[Row], rows_b: Iterable[Row], metric: str) -> Summary | None:
    """The mean of a - b over the seeds that both have; None if they share none."""
    a, b = _by_seed(rows_a, metric), _by_seed(rows_b, metric)
    return summary_of([a[seed] - b[seed] for seed in a if seed in b])


def _by_seed(rows: Iterable[Row], metric: str) -> dict[int | None, float]:
    values: dict[int | None, float] = {}
    for row in rows:
        if metric in row.metrics:
            if row.seed in values:
                raise ValueError(f"two rows of {row.model} with {metric} and seed {row.seed}")
            values[row.seed] = row.metrics[metric]
    return values


def summary_of(values: Sequence[float]) -> Summary | None:
    """The mean of one value per seed; None if there is none.

    Examples:
        >>> summary_of([1.0, 3.0]).mean
        2.0
    """
    n = len(values)
    if n == 0:
        return None
    mean = float(np.mean(values))
    if n == 1:
        return Summary(mean, None, 1)
    standard_error = float(np.std(values, ddof=1)) / math.sqrt(n)
    return Summary(mean, float(special.stdtrit(n - 1, 0.975)) * standard_error, n)
