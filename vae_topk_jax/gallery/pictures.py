"""Pictures of a gallery: values as bytes, small enough, many to a file."""

import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 75  # of WebP
_BYTES = {1: 0.35, 3: 0.5}  # of a pixel, by channels
_LARGEST = 96  # pixels of a side


class Scale(NamedTuple):
    """The values that are shown as black and as white."""

    black: float
    white: float

    def bytes_of(self, image_HxWxC: NDArray) -> NDArray[np.uint8]:
        """uint8 (H, W) or (H, W, 3); of another number of channels than 1 and 3 their mean.

        Examples:
            >>> Scale(-1.0, 1.0).bytes_of(np.array([[[-2.0], [0.0], [1.0]]])).tolist()
            [[0, 128, 255]]
        """
        share = (np.asarray(image_HxWxC, np.float64) - self.black) / (self.white - self.black)
        pixels = np.rint(255 * np.clip(share, 0.0, 1.0)).astype(np.uint8)
        if pixels.shape[-1] == 3:
            return pixels
        return np.rint(pixels.mean(axis=-1)).astype(np.uint8)


def signed(change_HxWxC: NDArray) -> NDArray[np.uint8]:
    """A change as bytes: mid grey is none, brighter is more, the largest one at the end."""
    largest = float(np.abs(change_HxWxC).max()) or 1.0
    return Scale(-largest, largest).bytes_of(change_HxWxC)


def fitting(shape: tuple[int, int, int], count: int, budget: float) -> tuple[int, int]:
    """Height and width of pictures that take about `budget` bytes together, no side of more than 96
    pixels, none larger than the image itself.

    Args:
        shape: (H, W, C) of an image.
        count: how many pictures there will be.
        budget: in bytes.

    Examples:
        >>> fitting((28, 28, 1), 1000, 1e6), fitting((64, 32, 3), 100_000, 1e7)
        ((28, 28), (20, 10))
    """
    height, width, channels = shape
    wanted = count * height * width * _BYTES[3 if channels == 3 else 1]
    scale = min(1.0, _LARGEST / max(height, width), (budget / max(wanted, 1)) ** 0.5)
    return max(1, round(scale * height)), max(1, round(scale * width))


def resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture of that height and width."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BOX))


def sheet(pictures: Iterable[NDArray[np.uint8]], columns: int) -> bytes:
    """Pictures of one size as one file in WebP, row by row.

    Examples:
        >>> content = sheet([np.zeros((4, 6), np.uint8)] * 3, columns=2)
        >>> Image.open(io.BytesIO(content)).size
        (12, 8)
    """
    tiles = list(pictures)
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    page = np.zeros((rows * height, columns * width, *tiles[0].shape[2:]), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        page[top : top + height, left : left + width] = tile
    buffer = io.BytesIO()
    Image.fromarray(page).save(buffer, "WEBP", quality=_QUALITY, method=2)
    return buffer.getvalue()
