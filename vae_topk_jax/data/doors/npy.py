"""One .npy file: images or vectors, memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.foreign import check_regular

SUFFIX = ".npy"


def map_array(path: Path) -> np.ndarray:
    """The array in a .npy file, not read yet.

    Raises:
        DataError: it is missing, damaged, no .npy file, or holds Python objects.
    """
    try:
        check_regular(path, follow_link=True)
        with path.open("rb") as file:
            magic = file.read(6)
        if magic != np.lib.format.MAGIC_PREFIX:
            raise DataError(f"{path}: expected a .npy file, found {magic.hex(' ') or 'nothing'}")
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError, MemoryError) as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            message = f"{path}: expected numbers, found Python objects, which are not unpickled"
            raise DataError(message) from error
        raise as_data_error(error, path) from error


def rows_of(paths: list[Path]) -> Rows:
    """The arrays of some files, one after the other."""
    return Rows([map_array(path) for path in paths], [str(path) for path in paths])


def _opens(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def _load(request: Request) -> Found:
    path = request.path
    return Found(path.stem, f'NumPy file "{name_of(path)}"', Split(rows_of([path])))


DOOR = Door("a .npy file", _opens, _load)
