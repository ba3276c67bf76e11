"""Shapes3D, from the .h5 file that its authors publish.

Burgess & Kim, "3D Shapes Dataset", 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vae_topk_jax.data.cache import Block, decoded, fingerprint
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.factors import Factors
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.extras import install_advice
from vae_topk_jax.foreign import check_regular

_IMAGES, _VALUES = "images", "labels"
_ROWS = 4096
NAMES = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")


def _opens(path: Path) -> bool:
    return path.suffix.lower() in (".h5", ".hdf5") and not path.is_dir()


def _load(request: Request) -> Found:
    path = request.path
    values_NxF = _read_values(path)
    key = f"shapes3d {fingerprint(path)}"
    kept = decoded(request.cache, str(path), key, lambda: _blocks(path))
    found = [np.unique(column, return_inverse=True) for column in values_NxF.T]
    factors = Factors(NAMES, tuple(values for values, _ in found))
    numbers_NxF = np.stack([numbers for _, numbers in found], axis=1).astype(np.int32)
    split = Split(kept.images, None, numbers_NxF)
    return Found("shapes3d", f'Shapes3D "{name_of(path)}"', split, factors=factors)


def _read_values(path: Path) -> np.ndarray:
    with _open(path) as file:
        for name, ndim in ((_IMAGES, 4), (_VALUES, 2)):
            if name not in file or getattr(file[name], "ndim", None) != ndim:
                raise DataError(
                    f"{path}: expected Shapes3D, found {', '.join(file) or 'nothing'}, in which "
                    f"{name} has not {ndim} axes"
                )
        images, values = file[_IMAGES], file[_VALUES]
        if images.dtype != np.uint8 or images.shape[3] != 3:
            raise DataError(
                f"{path}: {_IMAGES} must be uint8 (N, H, W, 3), found {images.dtype} {images.shape}"
            )
        if values.shape != (len(images), len(NAMES)):
            raise DataError(
                f"{path}: {_VALUES} must be {(len(images), len(NAMES))}, found {values.shape}"
            )
        return np.asarray(values[:], np.float64)


def _blocks(path: Path) -> Iterator[Block]:
    with _open(path) as file:
        for start in range(0, len(file[_IMAGES]), _ROWS):
            try:
                yield Block(file[_IMAGES][start : start + _ROWS])
            except OSError as error:
                raise as_data_error(error, path) from error


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path}: h5py cannot be imported: {install_advice('h5')}") from error
    try:
        check_regular(path, follow_link=True)
        return h5py.File(path, "r")
    except (OSError, ValueError) as error:
        raise as_data_error(error, path) from error


DOOR = Door("Shapes3D (.h5)", _opens, _load)
