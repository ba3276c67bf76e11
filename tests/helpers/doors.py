"""A small file or folder of every kind that data are read from."""

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.numpy
import scipy.io
from PIL import Image

from tests.helpers.idx_files import write_folder
from vae_topk_jax.data import DataOptions
from vae_topk_jax.data.idx import MNIST

COUNT, SIDE = 40, 8
NUMBERS = np.arange(COUNT, dtype=np.int32) % 4


class Made(NamedTuple):
    """Data on the disk, and what is in them.

    Attributes:
        path: their place.
        images: all examples, (N, H, W, C), in any order.
        options: with which they are read.
        has_labels: whether they have any.
        damaged: a file that makes all of it unreadable when it is cut short.
    """

    path: Path
    images: np.ndarray
    damaged: Path
    options: DataOptions = DataOptions()
    has_labels: bool = False


def grey(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """uint8 (N, 8, 8, 1)."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


def vectors() -> np.ndarray:
    """float32 (N, 6) of any range."""
    return np.random.default_rng(0).normal(0, 3, (COUNT, 6)).astype(np.float32)


def as_images(vectors_NxF: np.ndarray) -> np.ndarray:
    return vectors_NxF[:, None, None, :]


def npy(folder: Path) -> Made:
    np.save(folder / "mine.npy", grey()[..., 0])
    return Made(folder / "mine.npy", grey(), folder / "mine.npy")


def npz(folder: Path) -> Made:
    np.savez_compressed(folder / "mine.npz", images=grey(), labels=NUMBERS)
    return Made(folder / "mine.npz", grey(), folder / "mine.npz", has_labels=True)


def npy_folder(folder: Path) -> Made:
    path = folder / "shards"
    path.mkdir()
    for number, images in enumerate(np.array_split(grey(), 12)):
        np.save(path / f"part-{number}.npy", images)
    return Made(path, grey(), path / "part-3.npy")


def idx_folder(folder: Path) -> Made:
    images, labels = grey()[..., 0], NUMBERS.astype(np.uint8)
    arrays = (images[:36], labels[:36], images[36:], labels[36:])
    path = write_folder(folder / "idx", dict(zip(MNIST, arrays, strict=True)))
    return Made(path, grey(), path / "t10k-images-idx3-ubyte", has_labels=True)


def pictures(folder: Path) -> Made:
    path = folder / "pictures"
    for number, image in enumerate(grey()):
        place = path / f"class{NUMBERS[number]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place / f"{number}.png")
    return Made(path, grey(), path / "class2" / "10.png", has_labels=True)


def tensors(folder: Path) -> Made:
    path = folder / "activations"
    path.mkdir()
    for number, part in enumerate(np.array_split(vectors(), 3)):
        shard = {"blocks.0.hook_mlp_out": part, "tokens": np.arange(len(part))}
        safetensors.numpy.save_file(shard, path / f"shard-{number}.safetensors")
    options = DataOptions(tensor="blocks.0.hook_mlp_out")
    return Made(path, as_images(vectors()), path / "shard-1.safetensors", options)


def csv(folder: Path) -> Made:
    header = ",".join(f"x{column}" for column in range(6))
    np.savetxt(folder / "mine.csv", vectors(), delimiter=",", header=header, comments="")
    images = np.loadtxt(folder / "mine.csv", delimiter=",", skiprows=1)
    return Made(folder / "mine.csv", as_images(images.astype(np.float32)), folder / "mine.csv")


def parquet(folder: Path) -> Made:
    table = pytest.importorskip("pyarrow").table
    columns = {f"x{column}": values for column, values in enumerate(vectors().T)}
    write = pytest.importorskip("pyarrow.parquet").write_table
    write(table(columns | {"label": NUMBERS}), folder / "mine.parquet")
    path = folder / "mine.parquet"
    return Made(path, as_images(vectors()), path, has_labels=True)


def hugging_face(folder: Path) -> Made:
    """As `datasets.DatasetDict.save_to_disk` of version 5 lays it out."""
    pa, ipc = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.ipc")
    path = folder / "saved"
    for split, part in (("train", slice(36)), ("test", slice(36, None))):
        (path / split).mkdir(parents=True)
        pngs = [{"bytes": png(image), "path": None} for image in grey()[part, ..., 0]]
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        table = pa.table({"image": pa.array(pngs, kind), "label": NUMBERS[part].astype(np.int64)})
        name = "data-00000-of-00001.arrow"
        with ipc.new_stream(path / split / name, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
        state = {"_data_files": [{"filename": name}], "_indices_data_files": None}
        (path / split / "state.json").write_text(json.dumps(state))
    (path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return Made(path, grey(), path / "train" / name, has_labels=True)


def dsprites(folder: Path) -> Made:
    images = (grey()[..., 0] > 127).astype(np.uint8)
    numbers = np.stack([0 * NUMBERS, NUMBERS, *(NUMBERS[:, None] % 2).repeat(4, 1).T], axis=1)
    path = folder / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    np.savez_compressed(
        path,
        imgs=images,
        latents_classes=numbers.astype(np.int64),
        latents_values=numbers / 4,
        metadata=np.array({"a": "pickled dictionary"}, object),
    )
    return Made(path, 255 * images[..., None], path)


def shapes3d(folder: Path) -> Made:
    h5py = pytest.importorskip("h5py")
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
    values = np.stack([NUMBERS / 4] * 6, axis=1)
    path = folder / "3dshapes.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, compression="gzip")
        file["labels"] = values
    return Made(path, images, path)


def mpi3d(folder: Path) -> Made:
    count = 4 * 4 * 2 * 3 * 3 * 40 * 40
    images = np.zeros((count, 2, 2, 3), np.uint8)
    images.reshape(count, -1)[:, :4] = np.arange(count, dtype="<u4").view(np.uint8).reshape(-1, 4)
    path = folder / "mpi3d_real_complex.npz"
    np.savez(path, images=images)
    return Made(path, images, path, DataOptions(limit=COUNT))


def cars3d(folder: Path) -> Made:
    path = folder / "cars"
    path.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 2, SIDE, SIDE, 3), np.uint8)
    for number, car in enumerate(images):
        name = f"car_{number:03d}_mesh.mat"
        scipy.io.savemat(path / name, {"im": car.transpose(2, 3, 4, 0, 1)}, do_compression=True)
    return Made(path, images.reshape(-1, SIDE, SIDE, 3), path / "car_002_mesh.mat")


def small_norb(folder: Path) -> Made:
    path = folder / "norb"
    path.mkdir()
    for split, name, part in (
        ("training", "5x46789x9x18x6x2x96x96", slice(36)),
        ("testing", "5x01235x9x18x6x2x96x96", slice(36, None)),
    ):
        images = grey()[part, ..., 0]
        pairs = np.stack([images, 255 - images], axis=1)
        numbers = NUMBERS[part]
        info = np.stack([numbers, numbers, 2 * numbers, numbers], axis=1)
        for kind, array in (("dat", pairs), ("cat", numbers), ("info", info)):
            stem = f"smallnorb-{name}-{split}-{kind}.mat"
            (path / stem).write_bytes(norb_matrix(array))
    return Made(path, grey(), path / stem.replace("info", "dat"), has_labels=True)


def norb_matrix(array: np.ndarray) -> bytes:
    """As the authors of NORB describe it: sizes are three at least."""
    magic = {1: 0x1E3D4C55, 4: 0x1E3D4C54}[array.dtype.itemsize]
    sizes = [*array.shape, *[1] * (3 - array.ndim)]
    return struct.pack(f"<{2 + len(sizes)}i", magic, array.ndim, *sizes) + array.tobytes()


def png(pixels: np.ndarray) -> bytes:

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


MAKERS: dict[str, Callable[[Path], Made]] = {
    make.__name__: make
    for make in (
        *(idx_folder, npy, npz, npy_folder, tensors, csv, parquet, hugging_face, pictures),
        *(dsprites, shapes3d, mpi3d, cars3d, small_norb),
    )
}
