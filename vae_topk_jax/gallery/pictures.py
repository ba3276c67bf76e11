"""Pictures of a gallery: values as bytes, small enough, many to a file."""

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_QUALITY = 75  # of WebP
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


def bytes_each(few: Sequence[NDArray[np.uint8]]) -> float:
    """How many bytes one of such pictures takes in a sheet, no side of more than 96 pixels.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> flat, noisy = np.zeros((8, 28, 28), np.uint8), rng.integers(0, 256, (8, 28, 28))
        >>> bytes_each(list(flat)) < 50 < bytes_each(list(noisy.astype(np.uint8)))
        True
    """
    size = fitting(few[0].shape, 1.0)
    return len(sheet([resized(pixels, size) for pixels in few], len(few))) / len(few)


def fitting(shape: tuple[int, ...], share: float) -> tuple[int, int]:
    """Height and width of a picture that takes that share of its bytes, no side of more than 96
    pixels.

    Args:
        shape: (H, W) or (H, W, 3) of the picture.
        share: in (0, 1].

    Examples:
        >>> fitting((28, 28), 1.0), fitting((64, 32, 3), 0.25)
        ((28, 28), (32, 16))
    """
    height, width = shape[:2]
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
