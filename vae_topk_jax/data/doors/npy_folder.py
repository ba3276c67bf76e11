"""A folder of .npy files: shards of one array, or arrays by name, or train/ and test/ of them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np

from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.listing import files_with, holds_shards
from vae_topk_jax.data.doors.named_arrays import left_out, roles, splits_of
from vae_topk_jax.data.doors.npy import SUFFIX, map_array, rows_of
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.splits import Found, Split

_NUMBER = re.compile(r"[-_.]?\d+([-_.]of[-_.]\d+)?$")
SPLITS = ("train", "test")


def _opens(path: Path) -> bool:
    return holds_shards(path, SUFFIX)


def _load(request: Request) -> Found:
    folder = request.path
    train, test = _splits(folder)
    return Found(folder.name, f'folder of NumPy files "{name_of(folder)}"', train, test)


def _splits(folder: Path) -> tuple[Split, Split | None]:
    if shards := files_with(folder, SUFFIX):
        return _by_name(folder, shards)
    whole = [_by_name(folder / split, files_with(folder / split, SUFFIX)) for split in SPLITS]
    for split, (_, test) in zip(SPLITS, whole, strict=True):
        if test is not None:
            raise DataError(f"{folder / split}: expected one split, found train and test")
    return whole[0][0], whole[1][0]


def _by_name(folder: Path, shards: list[Path]) -> tuple[Split, Split | None]:
    if not shards:
        raise DataError(f"{folder}: expected .npy files, found none")
    grouped = {
        stem: list(group) for stem, group in itertools.groupby(sorted(shards, key=_stem), key=_stem)
    }
    if len(left_out(grouped)) == len(grouped):  # no name says anything: all are shards of one array
        grouped = {"": shards}
    elif unknown := left_out(grouped):
        raise DataError(f"{grouped[unknown[0]][0]}: expected a name such as images or labels")

    def labels(name: str) -> np.ndarray:
        return np.concatenate([map_array(path) for path in grouped[name]])

    return splits_of(roles(grouped, folder), lambda name: rows_of(grouped[name]), labels, folder)


def _stem(path: Path) -> str:
    """The name without the number of a shard."""
    return _NUMBER.sub("", path.stem)


DOOR = Door("a folder of .npy files", _opens, _load)
