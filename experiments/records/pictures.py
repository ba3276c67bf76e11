"""Images as JSON values, which rows keep."""

import base64
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def encode_images(images_NxHxWxC: np.ndarray) -> dict[str, Any]:
    """Packs uint8 images into JSON values."""
    images = np.asarray(images_NxHxWxC)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"want uint8 images (N, H, W, C), got {images.dtype} {images.shape}")
    packed = base64.b64encode(zlib.compress(images.tobytes(), 9)).decode("ascii")
    return {"shape": list(images.shape), "zlib_base64": packed}


def decode_images(encoded: Mapping[str, Any]) -> np.ndarray:
    """The inverse of `encode_images`; takes no more memory than the shape needs.

    Raises:
        ValueError: not such images.

    Examples:
        >>> bomb = encode_images(np.zeros((1, 1000, 1000, 1), np.uint8)) | {"shape": [1, 2, 2, 1]}
        >>> decode_images(bomb)
        Traceback (most recent call last):
        ValueError: cannot reshape array of size 5 into shape (1,2,2,1)
    """
    packed = base64.b64decode(encoded["zlib_base64"], validate=True)
    try:
        raw = zlib.decompressobj().decompress(packed, math.prod(encoded["shape"]) + 1)
    except zlib.error as error:
        raise ValueError(f"damaged images: {error}") from None
    return np.frombuffer(raw, np.uint8).reshape(encoded["shape"])


def encode_pictures(pictures: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Packs batches of float images in [0, 1], by name."""
    return {name: encode_images(to_uint8(images)) for name, images in pictures.items()}


def to_uint8(images: np.ndarray) -> np.ndarray:
    """uint8 images from floats in [0, 1].

    Examples:
        >>> to_uint8(np.array([0.0, 0.5, 1.0])).tolist()
        [0, 128, 255]
    """
    return np.rint(np.asarray(images) * 255).astype(np.uint8)
