"""Examples that stay in files until a batch of them is read."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.memory import fits_in_memory

CHUNK_BYTES = 64 << 20


class Rows:
    """N examples (H, W, C) in arrays that lie one after the other, mostly memory maps.

    It is indexed along its first axis, by a number, a slice or numbers, and then gives an array.

    Args:
        parts: uint8 or floating; images (n, H, W) or (n, H, W, C), or vectors (n, F), which become
            images of 1 x 1 pixels; all of one type and shape but for n.
        names: of the parts, for messages.
        index: which of their examples, in which order; None: all.

    Attributes:
        shape: (N, H, W, C).
        dtype: uint8, or float32 whatever floating type the parts have.

    Raises:
        DataError: parts of other types or shapes, by name; when rows are read, values that float32
            does not hold or that are NaN.

    Examples:
        >>> rows = Rows([np.zeros((2, 4, 4), np.uint8), np.ones((3, 4, 4), np.uint8)], ["a", "b"])
        >>> rows.shape, rows[[4, 0]].max(axis=(1, 2, 3)).tolist()
        ((5, 4, 4, 1), [1, 0])
    """

    ndim = 4

    def __init__(
        self,
        parts: Sequence[np.ndarray],
        names: Sequence[str],
        index: np.ndarray | None = None,
    ):
        for part, name in zip(parts, names, strict=True):
            _check_part(part, name)
            if part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype:
                raise DataError(
                    f"{name}: expected {parts[0].dtype} {parts[0].shape[1:]} an example as in "
                    f"{names[0]}, found {part.dtype} {part.shape[1:]}"
                )
        self._parts, self._names, self._index = tuple(parts), tuple(names), index
        self._ends = np.cumsum([len(part) for part in parts])
        size = int(self._ends[-1]) if index is None else len(index)
        self.shape = (size, *_image_shape(parts[0].shape[1:]))
        self.dtype = np.dtype(np.uint8 if parts[0].dtype == np.uint8 else np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of all examples, as they are read."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @functools.cached_property
    def fingerprint(self) -> str:
        """What changes when the examples may have: the files, their sizes and times, the order.

        Where a part is no memory map of a file, the empty string.
        """
        files = []
        for part in self._parts:
            path = _file_of(part)
            if path is None:
                return ""
            status = Path(path).stat()
            place = getattr(part, "offset", 0)
            files.append([str(path), status.st_size, status.st_mtime_ns, place, str(part.dtype)])
        order = None if self._index is None else hashlib.sha256(self._index.tobytes()).hexdigest()
        return json.dumps([files, self.shape, order])

    def select(self, index: np.ndarray) -> Rows:
        """The examples of these numbers, not read yet."""
        index = np.asarray(index, np.int64)
        return Rows(self._parts, self._names, index if self._index is None else self._index[index])

    def chunks(self) -> Iterator[np.ndarray]:
        """All examples in order, some 64 MiB at a time."""
        size = max(1, CHUNK_BYTES * len(self) // max(1, self.nbytes))
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        is_slice = isinstance(index, slice)
        numbers: np.ndarray = np.arange(len(self))[index] if is_slice else np.asarray(index)
        if numbers.size and not -len(self) <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"there are {len(self)} examples, got index {index}")
        flat = numbers.ravel() % len(self)
        if self._index is not None:
            flat = self._index[flat]
        out = np.empty((len(flat), *self.shape[1:]), self.dtype)
        order = np.argsort(flat, kind="stable")
        bounds = np.searchsorted(flat[order], self._ends)
        start = 0
        for part, name, begin, end in zip(
            self._parts, self._names, [0, *self._ends[:-1]], bounds, strict=True
        ):
            if start < end:
                places = order[start:end]
                out[places] = self._read(part, name, flat[places] - begin)
            start = end
        return out.reshape(*numbers.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = np.empty(self.shape, self.dtype)
        start = 0
        for chunk in self.chunks():
            whole[start : start + len(chunk)] = chunk
            start += len(chunk)
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def _read(self, part: np.ndarray, name: str, numbers: np.ndarray) -> np.ndarray:
        in_a_row = bool((np.diff(numbers) == 1).all())
        rows = part[numbers[0] : numbers[-1] + 1] if in_a_row else part[numbers]
        rows = np.asarray(rows).reshape(len(numbers), *self.shape[1:])
        if self.dtype == np.uint8:
            return rows
        with np.errstate(over="ignore", invalid="ignore"):
            rows = rows.astype(np.float32)
        if not np.isfinite(rows).all():
            bad = int(numbers[np.argmin(np.isfinite(rows).all(axis=(1, 2, 3)))])
            raise DataError(
                f"{name}: expected finite values of float32, found others in example {bad}"
            )
        return rows


# An array or `Rows`. Not their union, for most callers have data that are in the memory.
Images: TypeAlias = Any


def in_memory(images: Images) -> Images:
    """The array itself where it fits into the memory (`fits_in_memory`), else rows of it."""
    if fits_in_memory(images.nbytes):
        return np.asarray(images)
    return images if isinstance(images, Rows) else Rows([images], ["the array"])


def select(images: Images, index: np.ndarray) -> Images:
    """The examples of these numbers; rows stay rows."""
    return images.select(index) if isinstance(images, Rows) else images[index]


def chunks(images: Images) -> Iterator[np.ndarray]:
    """All examples in order; an array in one piece where its memory is in order."""
    if isinstance(images, Rows):
        yield from images.chunks()
    elif images.flags.c_contiguous:
        yield images
    else:
        yield from Rows([images], ["the array"]).chunks()


def _check_part(part: np.ndarray, name: str) -> None:
    if part.dtype.hasobject:
        raise DataError(f"{name}: expected numbers, found Python objects, which are not unpickled")
    # NumPy has no kind for bfloat16
    if part.dtype != np.uint8 and part.dtype.kind != "f" and part.dtype.name != "bfloat16":
        raise DataError(f"{name}: expected uint8 or floating values, found {part.dtype}")
    if part.ndim not in (2, 3, 4):
        raise DataError(
            f"{name}: expected images (N, H, W) or (N, H, W, C) or vectors (N, F), "
            f"found shape {part.shape}"
        )
    if 0 in part.shape:
        raise DataError(f"{name}: expected some data, found an empty shape {part.shape}")


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(H, W, C) of what is (H, W), (H, W, C) or (F,)."""
    height, width, channels = {1: (1, 1, *shape), 2: (*shape, 1)}.get(len(shape), shape)
    return height, width, channels


def _file_of(array: Any) -> str | None:
    """The file behind a memory map or a view of one."""
    while array is not None:
        if isinstance(array, np.memmap) and array.filename is not None:
            return str(array.filename)
        array = getattr(array, "base", None)
    return None
