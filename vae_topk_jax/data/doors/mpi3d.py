"""MPI3D, from the .npz files that its authors publish: toy, realistic, real, real_complex.

Gondal et al., "On the Transfer of Inductive Bias from Simulation to the Real World: a New
Disentanglement Dataset", NeurIPS 2019.
"""

from __future__ import annotations

import math
from pathlib import Path

from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.npz import Archive, is_archive
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.factors import grid
from vae_topk_jax.data.splits import Found, Split

_IMAGES = "images"
NAMES = (
    "object_color",
    "object_shape",
    "object_size",
    "camera_height",
    "background_color",
    "horizontal_axis",
    "vertical_axis",
)
SIZES = ((6, 6, 2, 3, 3, 40, 40), (4, 4, 2, 3, 3, 40, 40))  # the second: real_complex


def _opens(path: Path) -> bool:
    return is_archive(path) and "mpi3d" in path.name.lower()


def _load(request: Request) -> Found:
    path = request.path
    archive = Archive(path)
    if _IMAGES not in archive.names:
        raise DataError(f"{path}: expected MPI3D, found no array {_IMAGES}")
    size = archive.shape(_IMAGES)[0]
    sizes = next((sizes for sizes in SIZES if math.prod(sizes) == size), None)
    if sizes is None:
        counts = " or ".join(f"{math.prod(sizes):,}" for sizes in SIZES)
        raise DataError(f"{path}: expected the {counts} images of MPI3D, found {size:,}")
    factors, numbers_NxF = grid(NAMES, sizes)
    split = Split(archive.rows(_IMAGES, request.cache), None, numbers_NxF)
    return Found(path.stem, f'MPI3D "{name_of(path)}"', split, factors=factors)


DOOR = Door("MPI3D (.npz)", _opens, _load)
