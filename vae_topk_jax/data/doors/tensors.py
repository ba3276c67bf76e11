"""Activations of a network in safetensors files: one file, or a folder of shards, memory-mapped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors

from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.listing import files_with, holds_shards
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.foreign import check_regular

SUFFIX = ".safetensors"
_SPLITS = ("train", "test")
_TYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "U8": np.dtype(np.uint8),
}


class Shard:
    """The tensors of one file, by name; none is read yet.

    Raises:
        DataError: no safetensors file, or a damaged one.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            check_regular(path, follow_link=True)
            with safetensors.safe_open(path, framework="numpy"):  # checks the whole header
                pass
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                self._header = json.loads(file.read(size))
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise as_data_error(error, path) from error
        self._header.pop("__metadata__", None)
        self._start = 8 + size

    @property
    def names(self) -> list[str]:
        """The names of the tensors."""
        return sorted(self._header)

    def vectors(self, name: str) -> np.ndarray:
        """A tensor as vectors (N, F): what lies along its last axis belongs together.

        Raises:
            DataError: no such tensor, or one of another type or of fewer than two axes.
        """
        if name not in self._header:
            raise DataError(f"{self.path}: no tensor {name!r}, only {', '.join(self.names)}")
        about = self._header[name]
        dtype, shape = _TYPES.get(about["dtype"]), tuple(about["shape"])
        if dtype is None or len(shape) < 2 or 0 in shape:
            raise DataError(
                f"{self.path}: {name} must be {', '.join(_TYPES)} of shape (N, F) or "
                f"(..., F), found {about['dtype']} {shape}"
            )
        offset = self._start + about["data_offsets"][0]
        return np.memmap(self.path, dtype, "r", offset, shape).reshape(-1, shape[-1])


def rows_of(paths: Iterable[Path], tensor: str | None) -> Rows:
    """The tensor of that name of all files, one after the other.

    Args:
        paths: of the files.
        tensor: None: the only one that each of them holds.

    Raises:
        DataError: as `Shard`, or several tensors and no name.
    """
    shards = [Shard(path) for path in paths]
    if tensor is None:
        first = shards[0]
        if len(first.names) != 1:
            raise DataError(
                f"{first.path}: tensor (--tensor) must name one of {', '.join(first.names)}"
            )
        tensor = first.names[0]
    parts = [shard.vectors(tensor) for shard in shards]
    return Rows(parts, [f"{shard.path}: {tensor}" for shard in shards])


def _opens(path: Path) -> bool:
    if path.is_dir():
        return holds_shards(path, SUFFIX)
    return path.suffix.lower() == SUFFIX


def _load(request: Request) -> Found:
    path, tensor = request.path, request.options.tensor
    title = f'safetensors "{name_of(path)}"' + ("" if tensor is None else f", tensor {tensor}")
    if not path.is_dir() or (shards := files_with(path, SUFFIX)):
        rows = rows_of(shards if path.is_dir() else [path], tensor)
        return Found(path.stem, title, Split(rows))
    train, test = (files_with(path / split, SUFFIX) for split in _SPLITS)
    held_out = Split(rows_of(test, tensor)) if test else None
    return Found(path.name, title, Split(rows_of(train, tensor)), held_out)


DOOR = Door("safetensors of activations", _opens, _load, frozenset({"tensor"}))
