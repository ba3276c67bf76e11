"""One .npz archive of arrays by name. What it holds compressed is decoded once into the cache."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from vae_topk_jax.data.cache import Block, decoded, fingerprint
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.named_arrays import left_out, roles, splits_of
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.rows import CHUNK_BYTES, Rows
from vae_topk_jax.data.splits import Found
from vae_topk_jax.foreign import check_regular

SUFFIX = ".npz"
# An entry has at most so many times its bytes in the archive, or what is always small.
_MAX_RATIO, _MAX_SMALL = 1200, 1 << 28


class Archive:
    """The arrays of a .npz file, each read in chunks.

    Raises:
        DataError: no .npz file, or a damaged one; Python objects in an array that is asked for.
    """

    def __init__(self, path: Path):
        self.path = path
        with self._one_line():
            check_regular(path, follow_link=True)
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in entries}

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, of its header alone."""
        with self._open(name) as (_, shape, _, _):
            return shape

    def whole(self, name: str) -> np.ndarray:
        """A small array, such as labels."""
        return np.concatenate([*self.chunks(name)])

    def chunks(self, name: str) -> Iterator[np.ndarray]:
        """An array in pieces along its first axis."""
        with self._open(name) as (file, shape, dtype, in_fortran_order):
            if not shape or in_fortran_order:
                values = np.frombuffer(self._read(file, name, int(np.prod(shape)), dtype), dtype)
                yield np.atleast_1d(values.reshape(shape, order="F" if in_fortran_order else "C"))
                return
            per_row = int(np.prod(shape[1:]))
            size = max(1, CHUNK_BYTES // max(1, per_row * dtype.itemsize))
            for start in range(0, shape[0], size):
                rows = min(size, shape[0] - start)
                content = self._read(file, name, rows * per_row, dtype)
                yield np.frombuffer(content, dtype).reshape(rows, *shape[1:])

    def rows(self, name: str, cache: Path) -> Rows:
        """An array of images, decoded into the cache."""
        if 0 in self.shape(name):
            raise DataError(f"{self.path}: {name}: expected some data, found {self.shape(name)}")
        title = f"{self.path}: {name}"

        def blocks() -> Iterator[Block]:
            for chunk in self.chunks(name):
                yield Block(Rows([chunk], [title])[:])

        return decoded(cache, title, f"npz {fingerprint(self.path)} {name}", blocks).images

    @contextlib.contextmanager
    def _open(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype, bool]]:
        entry = self._entries[name]
        with self._one_line(), zipfile.ZipFile(self.path) as archive, archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, in_fortran_order, dtype = read(file)
            if dtype.hasobject:
                raise DataError(
                    f"{self.path}: {name}: expected numbers, found Python objects, "
                    "which are not unpickled"
                )
            expected = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
            most = max(_MAX_SMALL, _MAX_RATIO * entry.compress_size)
            if not expected <= entry.file_size <= most:
                raise DataError(
                    f"{self.path}: {name}: expected {expected:,} bytes for shape {shape}, found "
                    f"{entry.file_size:,} in {entry.compress_size:,} compressed ones"
                )
            yield file, shape, dtype, in_fortran_order

    def _read(self, file: IO[bytes], name: str, values: int, dtype: np.dtype) -> bytes:
        wanted = values * dtype.itemsize
        content = file.read(wanted)
        if len(content) != wanted:
            raise DataError(f"{self.path}: {name} is cut short")
        return content

    @contextlib.contextmanager
    def _one_line(self) -> Iterator[None]:
        errors = (OSError, ValueError, EOFError, SyntaxError, OverflowError, KeyError)
        try:
            yield
        except (
            *errors,
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise as_data_error(error, self.path) from error


def is_archive(path: Path) -> bool:
    """Whether the name is that of a .npz file."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def _load(request: Request) -> Found:
    path = request.path
    archive = Archive(path)
    names = roles(archive.names, path)
    if unknown := left_out(archive.names):
        request.log(f"{path}: left out {', '.join(unknown)}")
    train, test = splits_of(
        names, lambda name: archive.rows(name, request.cache), archive.whole, path
    )
    return Found(path.stem, f'NumPy archive "{name_of(path)}"', train, test)


DOOR = Door("a .npz file", is_archive, _load)
