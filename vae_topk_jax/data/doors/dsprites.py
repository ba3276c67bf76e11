"""dSprites, from the .npz file that its authors publish.

Matthey, Higgins, Hassabis & Lerchner, "dSprites: Disentanglement testing Sprites dataset", 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vae_topk_jax.data.cache import Block, decoded, fingerprint
from vae_topk_jax.data.doors.door import Door, Request, name_of
from vae_topk_jax.data.doors.npz import Archive, is_archive
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.factors import Factors
from vae_topk_jax.data.splits import Found, Split

_IMAGES, _NUMBERS, _VALUES = "imgs", "latents_classes", "latents_values"
NAMES = ("color", "shape", "scale", "orientation", "x", "y")


def _opens(path: Path) -> bool:
    return is_archive(path) and "dsprites" in path.name.lower()


def _load(request: Request) -> Found:
    path = request.path
    archive = Archive(path)
    if missing := {_IMAGES, _NUMBERS, _VALUES} - {*archive.names}:
        raise DataError(f"{path}: expected dSprites, found no array {min(missing)}")
    numbers_NxF = archive.whole(_NUMBERS).astype(np.int32)
    values_NxF = archive.whole(_VALUES).astype(np.float64)
    size = archive.shape(_IMAGES)[0]
    if not numbers_NxF.shape == values_NxF.shape == (size, len(NAMES)):
        raise DataError(
            f"{path}: expected {len(NAMES)} factors of {size} images, found "
            f"{_NUMBERS} {numbers_NxF.shape} and {_VALUES} {values_NxF.shape}"
        )

    def blocks() -> Iterator[Block]:
        for images in archive.chunks(_IMAGES):
            if images.dtype != np.uint8 or images.ndim != 3 or images.max() > 1:
                raise DataError(
                    f"{path}: {_IMAGES} must be uint8 (N, H, W) of 0 and 1, found {images.dtype} "
                    f"{images.shape} up to {images.max()}"
                )
            yield Block(255 * images)

    kept = decoded(request.cache, str(path), f"dsprites {fingerprint(path)}", blocks)
    # The numbers of a factor count its values, which ascend.
    factors = Factors(NAMES, tuple(np.unique(column) for column in values_NxF.T))
    return Found(
        "dsprites",
        f'dSprites "{name_of(path)}"',
        Split(kept.images, None, numbers_NxF),
        factors=factors,
    )


DOOR = Door("dSprites (.npz)", _opens, _load)
