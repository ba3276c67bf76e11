"""Rows by model, by variant, and one for each model."""

from collections.abc import Callable, Iterable
from typing import Any

from experiments.records.rows import Row


def by_model(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Groups rows by model, in order of first appearance."""
    return _grouped(rows, lambda row: row.model)


def by_variant(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Groups rows by variant, in order of first appearance."""
    return _grouped(rows, lambda row: row.variant)


def first_of_each_model(rows: Iterable[Row], get: Callable[[Row], Any]) -> dict[str, Any]:
    """What `get` finds in each model's first row that has it."""
    found: dict[str, Any] = {}
    for row in rows:
        value = get(row)
        if value and row.model not in found:
            found[row.model] = value
    return found


def _grouped(rows: Iterable[Row], name: Callable[[Row], str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    return groups
