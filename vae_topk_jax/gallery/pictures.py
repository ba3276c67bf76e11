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


def bytes_wanted(shape: tuple[int, ...], count: int) -> float:
    """About how many bytes `count` pictures of (H, W, C) take in a sheet.

    Examples:
        >>> bytes_wanted((10, 10, 1), 100)
        3500.0
    """
    height, width, channels = shape
    largest = min(1.0, _LARGEST / max(height, width))
    return count * height * width * largest**2 * _BYTES[3 if channels == 3 else 1]


def fitting(shape: tuple[int, ...], share: float) -> tuple[int, int]:
    """Height and width of a picture that takes that share of its bytes, no side of more than 96
    pixels.

    Args:
        shape: (H, W, C) of the image.
        share: in (0, 1].

    Examples:
        >>> fitting((28, 28, 1), 1.0), fitting((64, 32, 3), 0.25)
        ((28, 28), (32, 16))
    """
    height, width, _ = shape
    scale = min(1.0, _LARGEST / max(height, width)) * share**0.5
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
