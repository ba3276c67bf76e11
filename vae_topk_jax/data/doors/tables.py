"""Tables: CSV and Parquet files, and folders of Parquet files; decoded once into the cache."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vae_topk_jax.data.cache import decoded, fingerprint
from vae_topk_jax.data.decoding import Decoder
from vae_topk_jax.data.doors.arrow import LABELS, blocks_of, pyarrow, roles
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.listing import files_with, holds_shards
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.foreign import check_regular

_CSV, _PARQUET = ".csv", ".parquet"
_ROWS = 4096
_SPLITS = ("train", "test")
TAKES = frozenset({"tensor", "image_size", "colour", "skip_broken"})


def split_of(request: Request, name: str, files: list[Path], open_file: Any) -> Split:
    """The examples of some files with the same columns, one after the other.

    Args:
        request: options and cache.
        name: of all of them, for messages.
        files: their paths.
        open_file: path -> (schema, an iterator of record batches).

    Raises:
        DataError: a file that cannot be read, or what `vae_topk_jax.data.doors.arrow` refuses.
    """
    for path in files:
        try:
            check_regular(path, follow_link=True)
        except (OSError, ValueError) as error:
            raise as_data_error(error, path) from error
    schema, _ = _opened(files[0], open_file)
    for path in files[1:]:
        if (other := _opened(path, open_file)[0].names) != schema.names:
            raise DataError(f"{path}: expected the columns of {files[0]}, found {', '.join(other)}")
    found = roles(schema, str(files[0]), request.options.tensor)
    if found.left_out:
        request.log(f"{name}: left out the columns {', '.join(found.left_out)}")
    decoder = Decoder(request.options, name)

    def batches() -> Iterator[Any]:
        for path in files:
            yield from _read(path, open_file)

    given = {key: request.options.given.get(key) for key in sorted(TAKES)}
    key = f"table {fingerprint(*files)} {json.dumps(given)}"
    kept = decoded(
        request.cache,
        name,
        key,
        lambda: blocks_of(batches, found, name, decoder),
        lambda: "\n".join(decoder.broken),
    )
    if kept.notes:
        broken = kept.notes.splitlines()
        request.log(f"{name}: left out {len(broken)} broken pictures, the first: {broken[0]}")
    return Split(kept.images, kept.labels)


def _opened(path: Path, open_file: Any) -> tuple[Any, Iterable[Any]]:
    errors = pyarrow().lib.ArrowException
    try:
        return open_file(path)
    except (OSError, ValueError, errors) as error:
        raise as_data_error(error, path) from error


def _read(path: Path, open_file: Any) -> Iterator[Any]:
    _, batches = _opened(path, open_file)
    errors = pyarrow().lib.ArrowException
    try:
        yield from batches
    except DataError:
        raise
    except (OSError, errors) as error:
        raise as_data_error(error, path) from error


def _open_file(path: Path) -> tuple[Any, Iterable[Any]]:
    pa = pyarrow("csv", "parquet")
    if path.suffix.lower() == _CSV:
        return _open_csv(pa, path)
    file = pa.parquet.ParquetFile(path)
    return file.schema_arrow, file.iter_batches(_ROWS)


def _open_csv(pa: Any, path: Path) -> tuple[Any, Iterable[Any]]:
    """With integers as floating values, for the first fractions may come late in the file."""
    inferred = pa.csv.open_csv(path).schema
    types = {
        field.name: pa.float64()
        for field in inferred
        if pa.types.is_integer(field.type) and field.name not in LABELS
    }
    reader = pa.csv.open_csv(path, convert_options=pa.csv.ConvertOptions(column_types=types))
    return reader.schema, reader


def _opens(path: Path) -> bool:
    if path.is_dir():
        return holds_shards(path, _PARQUET)
    return path.suffix.lower() in (_CSV, _PARQUET)


def _parquets(folder: Path) -> list[Path]:
    return files_with(folder, _PARQUET)


def _load(request: Request) -> Found:
    path = request.path
    title = f'table "{name_of(path)}"'
    if not path.is_dir():
        return Found(path.stem, title, split_of(request, str(path), [path], _open_file))
    # As the hub has them: train-00000-of-00002.parquet, test-00000-of-00001.parquet.
    files = _parquets(path) + [file for split in _SPLITS for file in _parquets(path / split)]
    by_split = {
        split: [
            file
            for file in files
            if file.name.startswith(f"{split}-") or file.parent.name == split != path.name
        ]
        for split in _SPLITS
    }
    train, test = by_split["train"] or files, by_split["test"] if by_split["train"] else []
    if unused := [file for file in files if file not in train + test]:
        request.log(f"{path}: left out {len(unused)} files of other splits: {unused[0].name}")
    held_out = split_of(request, f"{path} test", test, _open_file) if test else None
    return Found(path.name, title, split_of(request, str(path), train, _open_file), held_out)


DOOR = Door("a CSV or Parquet table", _opens, _load, TAKES)
