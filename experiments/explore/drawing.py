"""A drawing as an image of the data set: centred and scaled as the digits of MNIST are."""

import base64
import io

import numpy as np
from PIL import Image

INK = 20 / 28  # fraction of an MNIST image that the longer side of its digit takes
LARGEST = 1024  # pixels of a side; the page's canvas has 280
_PREFIX = "data:image/png;base64,"
_BAD_PICTURE = (
    ValueError,
    OSError,
    SyntaxError,  # Pillow's for a broken chunk
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_EXPECTED = f"a drawing must be a data URL of a PNG picture of {LARGEST} x {LARGEST} pixels at most"


def decode_drawing(data_url: object) -> np.ndarray:
    """The ink of a PNG picture in a data URL, as a browser sends it, float32 (H, W): its opacity.

    Its size is compared with `LARGEST` before its pixels are decoded.

    Raises:
        ValueError: not such a picture.

    Examples:
        >>> decode_drawing("data:text/plain;base64,")
        Traceback (most recent call last):
        ValueError: a drawing must be a data URL of a PNG picture of 1024 x 1024 pixels at most
    """
    if not isinstance(data_url, str) or not data_url.startswith(_PREFIX):
        raise ValueError(_EXPECTED)
    try:
        png = base64.b64decode(data_url.removeprefix(_PREFIX), validate=True)
        picture = Image.open(io.BytesIO(png), formats=["PNG"])
        if max(picture.size) > LARGEST:
            raise ValueError(_EXPECTED)
        alpha = picture.convert("RGBA").getchannel("A")
    except _BAD_PICTURE:
        raise ValueError(_EXPECTED) from None
    return np.asarray(alpha, np.float32) / np.float32(255)


def as_digit(ink_HxW: np.ndarray, height: int, width: int) -> np.ndarray:
    """The ink as MNIST has its digits: cut out, its longer side scaled to 20 of 28 pixels, its
    centre of mass in the centre of the image.

    Args:
        ink_HxW: a drawing in [0, 1] of any size.
        height, width: of the image to make.

    Returns:
        image_HxWx1, float32 in [0, 1]; zeros where there is no ink.

    Raises:
        ValueError: a drawing that is not two-dimensional.

    Examples:
        >>> ink = np.zeros((280, 280), np.float32)
        >>> ink[10:150, 20:34] = 1.0
        >>> image = as_digit(ink, 28, 28)[..., 0]
        >>> places = np.argwhere(image > 0.5)
        >>> places.min(axis=0).tolist(), places.max(axis=0).tolist()
        ([4, 13], [23, 14])
    """
    if ink_HxW.ndim != 2:
        raise ValueError(f"a drawing must have two axes, got shape {ink_HxW.shape}")
    image_HxW = np.zeros((height, width), np.float32)
    rows, columns = (np.flatnonzero(ink_HxW.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return image_HxW[..., None]
    cut = ink_HxW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = min(INK * height / cut.shape[0], INK * width / cut.shape[1])
    size = [max(1, round(scale * length)) for length in reversed(cut.shape)]
    small = np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BOX))
    top = _start(small.sum(axis=1), height)
    left = _start(small.sum(axis=0), width)
    image_HxW[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.clip(image_HxW, 0.0, 1.0)[..., None]


def _start(profile: np.ndarray, length: int) -> int:
    """Where a profile must begin for its centre of mass to lie in the middle, if it fits there."""
    centre = (np.arange(len(profile)) * profile).sum() / profile.sum()
    return int(np.clip(round((length - 1) / 2 - centre), 0, length - len(profile)))
