"""Small stand-ins for MNIST, which the tests of the data package share."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from vae_topk_jax.data import Dataset
from vae_topk_jax.data.idx import MNIST, KnownFile, write_idx


def small_arrays(height: int = 6, width: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under the names of MNIST's four files: 12 train and 7 test images."""
    rng = np.random.default_rng(seed)
    shapes = ((12, height, width), (12,), (7, height, width), (7,))
    return {
        stem: rng.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8)
        for stem, shape in zip(MNIST, shapes, strict=True)
    }


def idx_bytes(array: np.ndarray) -> bytes:
    """IDX as its specification words it, written apart from the code under test."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_folder(folder: Path, arrays: dict[str, np.ndarray], suffix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in arrays.items():
        write_idx(folder / f"{stem}{suffix}", array)
    return folder


def write_dataset(folder: Path, dataset: Dataset) -> Path:
    """A data set with one channel as a folder of IDX files."""
    splits = (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    )
    arrays = [
        array for images, labels in splits for array in (images[..., 0], labels.astype(np.uint8))
    ]
    return write_folder(folder, dict(zip(MNIST, arrays, strict=True)))


def pass_for_mnist(monkeypatch: pytest.MonkeyPatch, arrays: dict[str, np.ndarray]) -> None:
    """Has the hashes of these arrays taken for those of the original MNIST."""
    for stem, array in arrays.items():
        raw = idx_bytes(array)
        known = KnownFile(len(raw), hashlib.sha256(raw).hexdigest())
        monkeypatch.setitem(MNIST, stem, known)


def flip(path: Path, position: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


# What the tests let pass for the original MNIST, as arrays and as files.
ARRAYS = small_arrays(seed=1)
FILES = {stem: idx_bytes(array) for stem, array in ARRAYS.items()}
