"""One encoded picture as bytes: upright, of the colours and the size that are asked for."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.foreign import check_regular

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # grey of 16 bits, as Pillow opens it
_GREY = ("1", "L", "LA", *_WIDE)
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)


class Header(NamedTuple):
    """What a picture says of itself before its pixels are decoded.

    Attributes:
        size: (H, W), once it is upright.
        is_grey: whether its format has no colours.
    """

    size: tuple[int, int]
    is_grey: bool


def read_header(source: Path | bytes, name: str) -> Header:
    """What a picture says of itself.

    Args:
        source: a file, or its content.
        name: for messages.

    Raises:
        DataError: no picture, or an animated one.
    """
    with _opened(source, name) as picture:
        width, height = picture.size
        # Pillow decodes a PNG to look for this tag, which PNGs hardly ever have.
        turned = picture.format != "PNG" and picture.getexif().get(_ORIENTATION) in _TURNED
        size = (width, height) if turned else (height, width)
        return Header(size, picture.mode in _GREY)


def read_picture(
    source: Path | bytes, name: str, colour: str, image_size: int | None
) -> np.ndarray:
    """The pixels of a picture.

    Turned as its EXIF tag says; what is transparent shows white; 16 bits of grey become 8.

    Args:
        source: a file, or its content.
        name: for messages.
        colour: "grey" or "rgb".
        image_size: the shorter side is resized to it and the longer one cropped around the centre;
            None: as it is.

    Returns:
        uint8 (H, W, C).

    Raises:
        DataError: no picture, a damaged or an animated one.
    """
    with _opened(source, name) as picture:
        upright = _flat(ImageOps.exif_transpose(picture))
        shown = upright.convert("L" if colour == "grey" else "RGB")
        if image_size is not None and shown.size != (image_size, image_size):
            shown = ImageOps.fit(shown, (image_size, image_size), Image.Resampling.LANCZOS)
        pixels = np.asarray(shown)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _flat(picture: Image.Image) -> Image.Image:
    """Of 8 bits, without transparency."""
    if picture.mode in _WIDE:
        values: np.ndarray = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError(f"grey values {values.min()} to {values.max()}, expected 0 to 65535")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("floating values: save them as a .npy file")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture)
    return picture


@contextlib.contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    errors = (OSError, ValueError, SyntaxError, EOFError, OverflowError, KeyError, TypeError)
    try:
        if isinstance(source, Path):
            check_regular(source, follow_link=True)
        file: Path | IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else source
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that nobody asks for
            with Image.open(file) as picture:
                # An MPO is a photograph followed by smaller versions of it.
                if (frames := getattr(picture, "n_frames", 1)) != 1 and picture.format != "MPO":
                    raise DataError(f"{name}: expected one picture, found {frames} frames")
                yield picture
    except DataError:
        raise
    except (*errors, Image.DecompressionBombError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{name}: cannot be read as a picture ({reason})") from error
