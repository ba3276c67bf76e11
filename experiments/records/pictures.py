"""Images as JSON values, which rows keep."""

import base64
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
    """The inverse of `encode_images`."""
    raw = zlib.decompress(base64.b64decode(encoded["zlib_base64"], validate=True))
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
