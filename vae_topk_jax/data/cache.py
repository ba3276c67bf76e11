"""What is kept in the user's cache: what was decoded once, and digests of large files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.files import CACHE_VARIABLE, cache_folder, new_folder, write_atomic
from vae_topk_jax.json_object import JsonObject

FORMAT = 1  # raise it whenever a door decodes in another way
_IMAGES, _LABELS, _ABOUT = "images", "labels", "about.json"


class Block(NamedTuple):
    """Examples that were decoded together.

    Attributes:
        images: uint8 or float32, (n, H, W, C) or (n, F).
        labels: int32 (n,); None in all blocks or in none.
    """

    images: np.ndarray
    labels: np.ndarray | None = None


class Decoded(NamedTuple):
    """What the cache gives back: the images, their labels, and whatever text was kept with them."""

    images: Rows
    labels: np.ndarray | None
    notes: str


def fingerprint(*paths: Path) -> str:
    """Paths, sizes and times of files: equal as long as nobody has written to them."""
    stats = ((path, path.stat()) for path in paths)
    return json.dumps([[str(path.absolute()), s.st_size, s.st_mtime_ns] for path, s in stats])


def decoded(
    cache: Path,
    name: str,
    key: str,
    blocks: Callable[[], Iterable[Block]],
    notes: Callable[[], str] = str,
) -> Decoded:
    """The examples of `blocks`, decoded at the first call and memory-mapped from then on.

    Args:
        cache: the root of the cache.
        name: of the data, for messages.
        key: what the examples depend on.
        blocks: decodes; each block has the type and the shape of the first.
        notes: is called after the last block; its text is kept with the examples.

    Raises:
        DataError: as `blocks`; none at all; a cache that cannot be written.
    """
    folder = cache / "decoded" / hashlib.sha256(f"{FORMAT} {key}".encode()).hexdigest()[:32]
    if found := _open(folder, name):
        return found
    shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
    try:
        with new_folder(folder) as partial:
            _write(partial, name, blocks(), notes)
    except OSError as error:
        if found := _open(folder, name):  # another process was faster
            return found
        raise DataError(
            f"{name}: the cache {cache} cannot be written ({error.strerror or error}); "
            f"{CACHE_VARIABLE} names another folder"
        ) from error
    if found := _open(folder, name):
        return found
    raise DataError(f"{name}: {folder} in the cache cannot be read")


def remembered(key: str, compute: Callable[[], str]) -> str:
    """A text that was computed before for this key, or is now; kept where the cache can be written.

    Args:
        key: what it depends on; the empty string: it is not kept.
        compute: gives one line.
    """
    if not key:
        return compute()
    path = cache_folder() / "digests" / hashlib.sha256(key.encode()).hexdigest()[:32]
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = compute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, f"{text}\n".encode("ascii"))
    except OSError:
        pass
    return text


def _write(folder: Path, name: str, blocks: Iterable[Block], notes: Callable[[], str]) -> None:
    first, count = None, 0
    with (folder / _IMAGES).open("wb") as images, (folder / _LABELS).open("wb") as labels:
        for block in blocks:
            if not len(block.images):
                continue
            first = first or block
            if block.images.shape[1:] != first.images.shape[1:]:
                raise DataError(
                    f"{name}: expected shape {first.images.shape[1:]} of all examples, found "
                    f"{block.images.shape[1:]} from example {count} on"
                )
            images.write(np.ascontiguousarray(block.images, first.images.dtype).data)
            if block.labels is not None:
                labels.write(np.ascontiguousarray(block.labels, np.int32).data)
            count += len(block.images)
    if first is None:
        raise DataError(f"{name}: expected some data, found none")
    about = {
        "shape": [count, *first.images.shape[1:]],
        "dtype": first.images.dtype.name,
        "labels": first.labels is not None,
        "notes": notes(),
    }
    write_atomic(folder / _ABOUT, json.dumps(about).encode())


def _open(folder: Path, name: str) -> Decoded | None:
    """What lies there, None where it is missing or not as it was written."""
    try:
        about = JsonObject.read(folder / _ABOUT).fields
        shape, dtype = tuple(about["shape"]), np.dtype(about["dtype"])
        images = np.memmap(folder / _IMAGES, dtype, "r", shape=shape)
        if images.nbytes != (folder / _IMAGES).stat().st_size:
            return None
        labels = np.fromfile(folder / _LABELS, np.int32) if about["labels"] else None
        if labels is not None and len(labels) != len(images):
            return None
        return Decoded(Rows([images], [name]), labels, about["notes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
