"""How a comparison of runs is shown: the settings that differ, and what was measured."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.records.rows import Row
from experiments.records.settings import shared_settings
from experiments.reporting.columns import columns_of
from experiments.reporting.figures.sweep import draw_sweep
from experiments.reporting.layout import DrawFigures, Experiment
from experiments.reporting.tables import Cell, Table

NAME = "runs"  # of the rows


def layout(rows: Sequence[Row], figures: Iterable[DrawFigures]) -> Experiment:
    """The layout of these runs; where one number differs, every metric is plotted against it.

    Args:
        rows: one for each run, whose name is its model.
        figures: drawn below the plot.
    """
    names = differing([row.config for row in rows])
    columns = columns_of(row.metrics for row in rows)
    setting = numeric_setting([row.config for row in rows])
    sweep = [functools.partial(draw_sweep, setting, columns)] if setting else []
    which = f", which differ in {', '.join(names)}" if names else ""
    return Experiment(
        NAME,
        f"Comparison of {len(rows)} runs",
        f"{len(rows)} runs{which}.",
        columns,
        opening=_settings,
        figures=(*sweep, *figures),
    )


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that not all have with the same value.

    Examples:
        >>> differing([{"k": 4, "beta": 1.0}, {"k": 8, "beta": 1.0}])
        ['k']
    """
    shared = shared_settings(configs)
    return list(dict.fromkeys(name for config in configs for name in config if name not in shared))


def numeric_setting(configs: Sequence[Mapping[str, Any]]) -> str:
    """The one setting that differs besides the seed, if it is a number; else an empty text.

    Examples:
        >>> numeric_setting([{"k": 4, "seed": 0}, {"k": 8, "seed": 1}])
        'k'
    """
    names = [name for name in differing(configs) if name != "seed"]
    if len(names) != 1:
        return ""
    values = [config.get(names[0]) for config in configs]
    return names[0] if all(type(value) in (int, float) for value in values) else ""


def _settings(rows: Sequence[Row]) -> list[Table]:
    names = differing([row.config for row in rows])
    body = [
        [Cell(row.model), *(Cell(str(row.config.get(name, ""))) for name in names)] for row in rows
    ]
    return [Table("Settings that differ", ["run", *names], body)] if names else []
