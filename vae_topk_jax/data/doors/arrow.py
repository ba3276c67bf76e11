"""Tables of Apache Arrow as examples: a column of pictures, of vectors, or numeric columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_topk_jax.data.cache import Block
from vae_topk_jax.data.decoding import Decoder, Encoded
from vae_topk_jax.data.doors.named_arrays import as_labels
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.extras import install_advice

LABELS = ("label", "labels", "fine_label")


class Roles(NamedTuple):
    """Which columns of a table are what.

    Attributes:
        kind: "pictures", "arrays" or "numbers".
        columns: one column, or the numeric ones.
        label: the column of labels, None without.
        left_out: columns that are not looked at.
    """

    kind: str
    columns: tuple[str, ...]
    label: str | None
    left_out: tuple[str, ...] = ()


def pyarrow(*modules: str) -> Any:
    """The package, with these modules of it.

    Raises:
        DataError: it is not installed.
    """
    try:
        import importlib

        for module in modules:
            importlib.import_module(f"pyarrow.{module}")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise DataError(f"tables need pyarrow: {install_advice('hf')} ({error})") from error


def roles(schema: Any, name: str, column: str | None) -> Roles:
    """What the columns of a table are.

    Args:
        schema: of the table.
        name: of the table, for messages.
        column: the one to train on; None: the only pictures or the only lists, else all numbers.

    Raises:
        DataError: no such column, several that it may be, or columns that are no numbers.
    """
    kinds = {field.name: _kind(field.type) for field in schema}
    label = next((field for field in LABELS if kinds.get(field) == "integer"), None)
    examples = {field: kind for field, kind in kinds.items() if field != label}
    if column is not None:
        if column not in examples:
            raise DataError(f"{name}: no column {column!r}, only {', '.join(kinds)}")
        chosen = [column]
    else:
        chosen = [field for field, kind in examples.items() if kind in ("pictures", "arrays")]
    if len(chosen) > 1:
        raise DataError(f"{name}: tensor (--tensor) must name one column of {', '.join(chosen)}")
    if chosen:
        kind = examples[chosen[0]]
        if kind not in ("pictures", "arrays"):
            raise DataError(f"{name}: column {chosen[0]} must hold pictures or lists, found {kind}")
        others = tuple(field for field in examples if field != chosen[0])
        return Roles(kind, (chosen[0],), label, others)
    refused = [field for field, kind in examples.items() if kind not in ("integer", "floating")]
    if refused or not examples:
        types = ", ".join(f"{field} ({schema.field(field).type})" for field in refused[:5])
        raise DataError(f"{name}: expected numeric columns, found {types or 'none'}")
    return Roles("numbers", tuple(examples), label)


def blocks_of(
    batches: Callable[[], Iterable[Any]], found: Roles, name: str, decoder: Decoder
) -> Iterator[Block]:
    """The examples of some record batches.

    Args:
        batches: gives the batches; pictures are gone through twice.
        found: from `roles`.
        name: of the table, for messages.
        decoder: of the pictures.

    Raises:
        DataError: values that are missing, lists of several lengths, labels that are no integers.
    """
    if found.kind == "pictures":
        yield from decoder.blocks(lambda: _encoded(batches(), found, name))
        return
    row = 0
    for batch in batches():
        if len(batch):
            columns = [_column(batch, column, name, row) for column in found.columns]
            images = columns[0] if found.kind == "arrays" else np.stack(columns, axis=1)
            yield Block(images, _labels(batch, found, name))
        row += len(batch)


def _kind(arrow_type: Any) -> str:
    types = pyarrow().types
    arrow_type = getattr(arrow_type, "storage_type", arrow_type)
    if types.is_struct(arrow_type):
        fields = {field.name for field in arrow_type}
        return "pictures" if fields == {"bytes", "path"} else "a struct"
    if types.is_binary(arrow_type) or types.is_large_binary(arrow_type):
        return "pictures"
    if types.is_integer(arrow_type):
        return "integer"
    if types.is_floating(arrow_type):
        return "floating"
    if types.is_list(arrow_type) or types.is_large_list(arrow_type):
        return "arrays" if _is_numeric(arrow_type.value_type) else "a list"
    if types.is_fixed_size_list(arrow_type):
        return "arrays" if _is_numeric(arrow_type.value_type) else "a list"
    return str(arrow_type)


def _is_numeric(arrow_type: Any) -> bool:
    return _kind(arrow_type) in ("integer", "floating", "arrays")


def _labels(batch: Any, found: Roles, name: str) -> np.ndarray | None:
    if found.label is None:
        return None
    values = batch.column(found.label)
    if values.null_count:
        raise DataError(f"{name}: column {found.label} has rows without a label")
    return as_labels(values.to_numpy(zero_copy_only=False), len(batch), f"{name}: {found.label}")


def _encoded(batches: Iterable[Any], found: Roles, name: str) -> Iterator[Encoded]:
    row = 0
    for batch in batches:
        labels = _labels(batch, found, name)
        for number, value in enumerate(batch.column(found.columns[0]).to_pylist()):
            content = value.get("bytes") if isinstance(value, dict) else value
            title = f"{name}: {found.columns[0]} in row {row + number}"
            if content is None and isinstance(value, dict) and value.get("path"):
                content = Path(value["path"])
            if content is None:
                raise DataError(f"{title} is missing")
            label = None if labels is None else int(labels[number])
            yield Encoded(content, title, label)
        row += len(batch)


def _column(batch: Any, column: str, name: str, row: int) -> np.ndarray:
    """float32 (n,) of numbers, (n, ...) of lists; uint8 lists stay bytes."""
    values = batch.column(column)
    values = getattr(values, "storage", values)
    shape: list[int] = [len(values)]
    while True:
        if values.null_count:
            missing = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            where = f"in row {row + missing}" if len(shape) == 1 else f"in a list after row {row}"
            raise DataError(f"{name}: column {column} has no value {where}")
        if not hasattr(values, "flatten") or not hasattr(values.type, "value_type"):
            break
        flat = values.flatten()
        if not len(values) or len(flat) % len(values) or not _same_lengths(values):
            raise DataError(
                f"{name}: column {column} holds lists of several lengths from row {row}"
            )
        shape.append(len(flat) // len(values))
        values = flat
    numbers = values.to_numpy(zero_copy_only=False).reshape(shape)
    if numbers.dtype == np.uint8 and len(shape) > 1:
        return numbers
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    if not np.isfinite(numbers).all():
        bad = row + int(np.argmin(np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)))
        raise DataError(f"{name}: column {column} must be finite, found another value in row {bad}")
    return numbers


def _same_lengths(values: Any) -> bool:
    if hasattr(values.type, "list_size"):
        return True
    lengths = np.diff(values.offsets.to_numpy())
    return bool((lengths == lengths[0]).all())
