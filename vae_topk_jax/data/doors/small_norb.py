"""SmallNORB, from the folder of binary .mat files that its authors publish, raw or gzipped.

LeCun, Huang & Bottou, "Learning Methods for Generic Object Recognition with Invariance to Pose and
Lighting", CVPR 2004. Of each pair of images the first one is taken.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from vae_topk_jax.data.cache import Block, decoded, fingerprint
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.listing import holds, listing
from vae_topk_jax.data.errors import DataError, as_data_error
from vae_topk_jax.data.factors import Factors
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.foreign import check_regular

_MAGIC: dict[int, np.dtype] = {0x1E3D4C55: np.dtype(np.uint8), 0x1E3D4C54: np.dtype("<i4")}
_MOST_AXES, _MOST_BYTES = 4, 1 << 30
NAMES = ("category", "instance", "elevation", "azimuth", "lighting")
_SIZES = (5, 10, 9, 18, 6)
_ELEVATIONS = 30.0 + 5.0 * np.arange(9)  # degrees from the horizon
_AZIMUTHS = 20.0 * np.arange(18)  # degrees; the files have them in tens


def _opens(path: Path) -> bool:
    return holds(path, lambda name: _is_part(name, "dat"))


def _is_part(name: str, part: str, split: str = "") -> bool:
    name = name.lower().removesuffix(".gz")
    return name.startswith("smallnorb") and split in name and name.endswith(f"-{part}.mat")


def _load(request: Request) -> Found:
    train, test = (_split(request, split) for split in ("training", "testing"))
    numbers = [np.arange(float(size)) for size in _SIZES]
    numbers[2], numbers[3] = _ELEVATIONS, _AZIMUTHS
    title = f'SmallNORB "{name_of(request.path)}"'
    return Found("small-norb", title, train, test, Factors(NAMES, tuple(numbers)))


def _split(request: Request, split: str) -> Split:
    dat, cat, info = (_file(request.path, part, split) for part in ("dat", "cat", "info"))
    categories, details = _read(cat, 1), _read(info, 2)
    if details.shape != (len(categories), 4):
        raise DataError(f"{info}: expected shape {(len(categories), 4)}, found {details.shape}")
    numbers_NxF: np.ndarray = np.column_stack([categories, details]).astype(np.int32)
    numbers_NxF[:, 3] //= 2  # in steps of twenty degrees
    if numbers_NxF.min() < 0 or (numbers_NxF.max(axis=0) >= _SIZES).any():
        raise DataError(f"{info}: expected numbers below {_SIZES}, found {numbers_NxF.max(axis=0)}")

    def blocks() -> list[Block]:
        pairs = _read(dat, 4)
        if pairs.dtype != np.uint8 or len(pairs) != len(categories):
            raise DataError(
                f"{dat}: expected {len(categories)} pairs of bytes, found {pairs.dtype} "
                f"{pairs.shape}"
            )
        return [Block(pairs[:, 0, :, :, None])]

    kept = decoded(request.cache, str(dat), f"small-norb {fingerprint(dat)}", blocks)
    return Split(kept.images, numbers_NxF[:, 0].copy(), numbers_NxF)


def _file(folder: Path, part: str, split: str) -> Path:
    found = [file for file in listing(folder).files if _is_part(file.name, part, split)]
    if len(found) != 1:
        raise DataError(
            f"{folder}: expected one file smallnorb-...-{split}-{part}.mat, found {len(found)}"
        )
    return found[0]


def _read(path: Path, ndim: int) -> np.ndarray:
    """A matrix in the authors' format: a magic number, the axes, three sizes at least, the values,
    all little-endian."""
    try:
        check_regular(path, follow_link=True)
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            content = file.read(_MOST_BYTES)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise as_data_error(error, path) from error
    head = np.frombuffer(content[: 4 * (2 + _MOST_AXES)], "<i4", count=min(6, len(content) // 4))
    if len(head) < 5 or int(head[0]) not in _MAGIC or head[1] != ndim:
        raise DataError(
            f"{path}: expected a matrix of {ndim} axes of bytes or integers, "
            f"found {content[:8].hex(' ') or 'nothing'}"
        )
    dtype, sizes = _MAGIC[int(head[0])], max(3, ndim)
    shape = tuple(int(size) for size in head[2 : 2 + ndim])
    start = 4 * (2 + sizes)
    expected = start + math.prod(shape) * dtype.itemsize
    if min(shape) < 1 or len(content) != expected:
        raise DataError(
            f"{path}: expected {expected:,} bytes for shape {shape}, found {len(content):,}"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


DOOR = Door("SmallNORB (a folder of .mat files)", _opens, _load)
