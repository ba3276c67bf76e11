"""The examples and drawings of a gallery as files of many small pictures."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_topk_jax.data import as_float
from vae_topk_jax.data.rows import Images
from vae_topk_jax.gallery import pictures
from vae_topk_jax.gallery.pictures import Scale

PER_SHEET, COLUMNS = 256, 16
FOLDER = "pictures"
_SEEN = 1000  # inputs that say what is black and what is white


@dataclasses.dataclass(frozen=True)
class Sheets:
    """Pictures of one size, in files of up to 256.

    Attributes:
        name: their files are pictures/NAME-000.webp and so on.
        size: (height, width) of a picture.
        columns: pictures side by side.
    """

    name: str
    size: tuple[int, int]
    columns: int = COLUMNS

    def describe(self) -> dict[str, Any]:
        """What the page needs to find a picture."""
        height, width = self.size
        return {"height": height, "width": width, "columns": self.columns, "per": PER_SHEET}

    def fit(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture of any size in the size of this sheet."""
        return pictures.resized(pixels, self.size)

    def write(self, folder: Path, number: int, tiles: Iterable[NDArray[np.uint8]]) -> None:
        """Writes one file of pictures of this size; none where there are no pictures."""
        if fitted := list(tiles):
            path = folder / FOLDER / f"{self.name}-{number:03}.webp"
            path.write_bytes(pictures.sheet(fitted, self.columns))

    def write_all(self, folder: Path, tiles: Iterable[NDArray[np.uint8]]) -> None:
        """Writes files of 256 pictures each, given as bytes of any size."""
        fitted = map(self.fit, tiles)
        for number in itertools.count():
            if not (inside := list(itertools.islice(fitted, PER_SHEET))):
                return
            self.write(folder, number, inside)


def scale_of(images: Images) -> Scale:
    """What is shown as black and as white: 0 and 1, or the extremes of the first 1,000 inputs where
    these go beyond."""
    if images.dtype == np.uint8:
        return Scale(0.0, 1.0)
    first = np.asarray(images[:_SEEN])
    return Scale(min(0.0, float(first.min())), max(1.0, float(first.max())))


def are_pictures(shape: Sequence[int]) -> bool:
    """Whether inputs of that shape (H, W, C) are images, not vectors."""
    return tuple(shape[:2]) != (1, 1)


def pictures_of(images: Images, index_N: NDArray[np.integer]) -> Iterator[NDArray[np.uint8]]:
    """The pictures of these inputs, in this order."""
    scale = scale_of(images)
    for start in range(0, len(index_N), PER_SHEET):
        for image in as_float(images[index_N[start : start + PER_SHEET]]):
            yield scale.bytes_of(image)
