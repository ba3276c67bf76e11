"""Cars3D, from the folder of .mat files that its authors publish, one a car.

Reed, Zhang, Zhang & Lee, "Deep Visual Analogy-Making", NeurIPS 2015.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from vae_topk_jax.data.cache import Block, decoded, fingerprint
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.listing import files_with, holds
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.factors import grid
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.foreign import check_regular

_IMAGES = "im"
NAMES = ("object", "azimuth", "elevation")


def _opens(path: Path) -> bool:
    return holds(path, lambda name: name.endswith(".mat") and "_mesh" in name)


def _load(request: Request) -> Found:
    folder, size = request.path, request.options.image_size
    files = [file for file in files_with(folder, ".mat") if "_mesh" in file.stem]
    views = _read_car(files[0]).shape[:2]

    def blocks() -> Iterator[Block]:
        for file in files:
            images = _read_car(file)
            if images.shape[:2] != views:
                raise DataError(
                    f"{file}: expected {views} azimuths and elevations as in {files[0].name}, "
                    f"found {images.shape[:2]}"
                )
            yield Block(_resized(images.reshape(-1, *images.shape[2:]), size))

    key = f"cars3d {fingerprint(*files)} {json.dumps(size)}"
    kept = decoded(request.cache, str(folder), key, blocks)
    factors, numbers_NxF = grid(NAMES, (len(files), *views))
    sized = "" if size is None else f", {size} pixels a side"
    split = Split(kept.images, None, numbers_NxF)
    return Found("cars3d", f'Cars3D "{name_of(folder)}"{sized}', split, factors=factors)


def _read_car(path: Path) -> np.ndarray:
    """The images of a car, (azimuth, elevation, H, W, C)."""
    import scipy.io

    errors = (OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, MemoryError)
    try:
        check_regular(path, follow_link=True)
        found = scipy.io.loadmat(path, variable_names=[_IMAGES])
    except (*errors, IndexError, zlib.error, scipy.io.matlab.MatReadError) as error:
        raise as_data_error(error, path) from error
    images = found.get(_IMAGES)
    if images is None or images.dtype != np.uint8 or images.ndim != 5 or images.shape[2] != 3:
        shown = "nothing" if images is None else f"{images.dtype} {images.shape}"
        raise DataError(f"{path}: {_IMAGES} must be uint8 (H, W, 3, A, E), found {shown}")
    return images.transpose(3, 4, 0, 1, 2)


def _resized(images_NxHxWxC: np.ndarray, size: int | None) -> np.ndarray:
    if size is None:
        return images_NxHxWxC
    shape = (size, size)
    return np.stack([np.asarray(Image.fromarray(image).resize(shape)) for image in images_NxHxWxC])


DOOR = Door("Cars3D (a folder of .mat files)", _opens, _load, frozenset({"image_size"}))
