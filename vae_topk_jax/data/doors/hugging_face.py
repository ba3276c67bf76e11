"""What `save_to_disk` of Hugging Face datasets leaves: a folder of Arrow files, or one a split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vae_topk_jax.data.doors.arrow import pyarrow
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.tables import TAKES, split_of
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.json_object import JsonObject

_SPLITS, _STATE = "dataset_dict.json", "state.json"
_TEST = ("test", "validation")


def _opens(path: Path) -> bool:
    return (path / _SPLITS).is_file() or (path / _STATE).is_file() or path.suffix == ".arrow"


def _load(request: Request) -> Found:
    path = request.path
    title = f'Hugging Face dataset "{name_of(path)}"'
    if not (path / _SPLITS).is_file():
        return Found(path.stem, title, _split(request, path))
    splits = _json(path / _SPLITS).fields.get("splits")
    if not isinstance(splits, list) or "train" not in splits:
        raise DataError(f"{path}: expected a split train, found {splits}")
    test = next((name for name in _TEST if name in splits), None)
    if unused := [str(name) for name in splits if name not in ("train", test)]:
        request.log(f"{path}: left out the splits {', '.join(unused)}")
    held_out = None if test is None else _split(request, path / test)
    return Found(path.name, title, _split(request, path / "train"), held_out)


def _split(request: Request, path: Path) -> Split:
    if not path.is_dir():
        return split_of(request, str(path), [path], _open_file)
    state = _json(path / _STATE).fields
    if state.get("_indices_data_files"):
        raise DataError(
            f"{path}: expected rows in order, found chosen ones: flatten_indices() first"
        )
    entries = state.get("_data_files")
    files = [
        path / name
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(name := entry.get("filename"), str)
    ]
    if not files or any(file.parent != path for file in files):
        raise DataError(f"{path / _STATE}: expected names of Arrow files, found {entries!r:.80}")
    return split_of(request, str(path), files, _open_file)


def _json(path: Path) -> JsonObject:
    try:
        return JsonObject.read(path)
    except (OSError, ValueError) as error:
        raise as_data_error(error, path) from error


def _open_file(path: Path) -> tuple[Any, Iterable[Any]]:
    pa = pyarrow("ipc")
    source = pa.memory_map(str(path))
    try:
        reader = pa.ipc.open_stream(source)
    except pa.lib.ArrowInvalid:
        file = pa.ipc.open_file(source)
        return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
    return reader.schema, reader


DOOR = Door("a Hugging Face dataset on disk", _opens, _load, TAKES)
