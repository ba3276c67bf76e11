"""Makers of files that are damaged or odd: each takes a folder and gives the path of its data."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy
from PIL import Image

from tests.helpers.doors import norb_matrix, png
from vae_topk_jax.data import DataOptions, load_dataset

GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 5, 3), np.uint8)
GOOD = png(GREY[0])
Make = Callable[[Path], Path]


def all_images(path: Path, **options) -> np.ndarray:
    """Both splits together, in the order in which they were found."""
    given = DataOptions(**options)
    data = load_dataset(path, given)
    train, test = np.asarray(data.train_images), np.asarray(data.test_images)
    size = len(train) + len(test)
    held = np.sort(np.random.default_rng(0).permutation(size)[: len(test)])
    out = np.empty((size, *train.shape[1:]), train.dtype)
    out[held] = test
    out[np.setdiff1d(np.arange(size), held)] = train
    return out


def saved(array: np.ndarray, name: str = "odd.npy") -> Make:
    def make(folder: Path) -> Path:
        np.save(folder / name, array, allow_pickle=True)
        return folder / name

    return make


def raw(content: bytes, name: str = "odd.npy") -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def header(text: str) -> bytes:
    """A .npy file of this header alone."""
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("latin1")


def shards(**arrays) -> Make:
    def make(folder: Path) -> Path:
        (folder / "odd").mkdir()
        for name, array in arrays.items():
            np.save(folder / "odd" / f"{name}.npy", array)
        return folder / "odd"

    return make


def archive(**arrays) -> Make:
    def make(folder: Path) -> Path:
        np.savez_compressed(folder / "odd.npz", **arrays)
        return folder / "odd.npz"

    return make


def files(suffix: str = "", **contents: bytes) -> Make:
    """A folder of files; `a__b` is b in the folder a."""

    def make(folder: Path) -> Path:
        for name, content in contents.items():
            path = folder / "odd" / (name.replace("__", "/") + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / "odd"

    return make


def tensor_file(**tensors) -> Make:
    def make(folder: Path) -> Path:
        safetensors.numpy.save_file(tensors, folder / "odd.safetensors")
        return folder / "odd.safetensors"

    return make


def text(content: str) -> Make:
    return raw(content.encode(), "odd.csv")


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def animated() -> bytes:
    frames = [Image.fromarray(frame) for frame in GREY[:3]]
    return encoded(frames[0], "gif", save_all=True, append_images=frames[1:])


def bomb(folder: Path) -> Path:
    """An archive that says it holds far more than its bytes can."""
    path = folder / "odd.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "images.npy",
            header("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 600, 600), }"),
        )
    return path


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "odd.npy")
    return folder / "odd.npy"


def undecodable_name(folder: Path) -> Path:
    (folder / "odd").mkdir()
    np.save(folder / "odd" / "a\udcff.npy", GREY)
    return folder / "odd"


def line_break_in_a_name(folder: Path) -> Path:
    (folder / "odd").mkdir()
    (folder / "odd" / "a\nb.png").write_bytes(png(GREY[0]))
    return folder / "odd"


def link_to_nowhere(folder: Path) -> Path:
    (folder / "odd").mkdir()
    (folder / "odd" / "a.npy").symlink_to(folder / "gone.npy")
    return folder / "odd"


def saved_split(state: object) -> Make:
    def make(folder: Path) -> Path:
        (folder / "odd").mkdir()
        (folder / "odd" / "state.json").write_text(json.dumps(state))
        return folder / "odd"

    return make


def norb(**changes: bytes) -> Make:
    """A folder of SmallNORB in which these parts of the training split are changed."""
    numbers = np.zeros(4, np.int32)
    parts = {
        "dat": norb_matrix(np.zeros((4, 2, 6, 5), np.uint8)),
        "cat": norb_matrix(numbers),
        "info": norb_matrix(np.zeros((4, 4), np.int32)),
    }
    named = {
        f"smallnorb-5x46789x9x18x6x2x96x96-{split}-{part}": content
        for split, given in (("training", parts | changes), ("testing", parts))
        for part, content in given.items()
    }
    return files(".mat", **named)
