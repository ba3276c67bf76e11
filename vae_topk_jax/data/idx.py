"""IDX, the file format of MNIST and its relatives. A file is never trusted: its header is checked
against the bytes that are really there before memory is taken for them."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from vae_topk_jax.data.dataset import Dataset
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.files import write_atomic

UINT8 = 0x08
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
MAX_NDIM = 4
# What is unpacked from gzip at most: so many times the size of the file, or what any machine holds.
MAX_RATIO, MAX_SMALL = 100, 1 << 28


class KnownFile(NamedTuple):
    """What a file must be, byte for byte."""

    size: int
    sha256: str

    def matches(self, raw: bytes) -> bool:
        return len(raw) == self.size and hashlib.sha256(raw).hexdigest() == self.sha256


# The four files of a dataset, with the sizes and hashes of the original MNIST, uncompressed.
MNIST: dict[str, KnownFile] = {
    "train-images-idx3-ubyte": KnownFile(
        47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": KnownFile(
        60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte": KnownFile(
        7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": KnownFile(
        10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads one IDX file of unsigned bytes, raw or gzip (recognised by content, not by name).

    Args:
        path: the file.

    Returns:
        uint8 array with the shape that the file's header gives.

    Raises:
        DataError: A file that cannot be read, is no uint8 IDX file, or is damaged.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_idx(Path(folder, "labels.gz"), np.array([7, 2, 1], np.uint8))
        ...     read_idx(Path(folder, "labels.gz"))
        array([7, 2, 1], dtype=uint8)
    """
    return parse_idx(_read_bytes(Path(path)), path)


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Writes an IDX file, compressed if the name ends in .gz; readers never see half of it.

    Args:
        path: the file; its folder must exist.
        array: uint8, of one to four dimensions, not empty.

    Raises:
        DataError: another array.
    """
    if array.dtype != np.uint8 or not 1 <= array.ndim <= MAX_NDIM or not array.size:
        raise DataError(
            f"{path}: an IDX file takes uint8 of 1 to {MAX_NDIM} dimensions, not empty; "
            f"got {array.dtype} {array.shape}"
        )
    header = bytes([0, 0, UINT8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    raw = header + array.tobytes()
    write_atomic(Path(path), gzip.compress(raw, mtime=0) if str(path).endswith(".gz") else raw)


def load_idx_folder(folder: str | os.PathLike[str]) -> Dataset:
    """Loads a folder with the four files of MNIST, Fashion-MNIST, KMNIST or any set like them.

    Args:
        folder: holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
            t10k-labels-idx1-ubyte, each raw or .gz, also spelt as in train-images.idx3-ubyte.

    Returns:
        The dataset, named after the folder, or "mnist" where all four files are MNIST's originals.

    Raises:
        DataError: A missing, damaged, swapped or mismatched file, by name.
    """
    folder = Path(folder)
    arrays, is_mnist = read_idx_folder(folder)
    basename = folder.resolve().name.encode("utf-8", "backslashreplace").decode()
    source = f'IDX folder "{basename}"'
    if is_mnist:
        return dataset_from_idx(arrays, "mnist", f"{source} (original MNIST, SHA-256 verified)")
    return dataset_from_idx(arrays, basename, source)


def read_idx_folder(folder: Path) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the four arrays of a folder, and whether all are the original MNIST's."""
    paths = _find_files(folder)
    raws = {stem: _read_bytes(path) for stem, path in paths.items()}
    arrays = {stem: parse_idx(raw, paths[stem]) for stem, raw in raws.items()}
    for stem, array in arrays.items():
        what, ndim = ("images", 3) if "images" in stem else ("labels", 1)
        if array.ndim != ndim:
            raise DataError(
                f"{paths[stem]}: expected {what} in {ndim} dimension(s), found shape {array.shape}"
            )
    for split in ("train", "t10k"):
        images, labels = f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"
        if len(arrays[images]) != len(arrays[labels]):
            raise DataError(
                f"{paths[labels]}: {len(arrays[labels])} labels for the {len(arrays[images])} "
                f"images of {paths[images].name}"
            )
    return arrays, _is_mnist(raws, paths)


def dataset_from_idx(arrays: dict[str, np.ndarray], name: str, source: str) -> Dataset:
    """Makes a dataset of the four arrays: grey images get a channel axis, labels become int32."""
    return Dataset(
        name=name,
        source=source,
        train_images=arrays["train-images-idx3-ubyte"][..., None],
        train_labels=arrays["train-labels-idx1-ubyte"].astype(np.int32),
        test_images=arrays["t10k-images-idx3-ubyte"][..., None],
        test_labels=arrays["t10k-labels-idx1-ubyte"].astype(np.int32),
    )


def parse_idx(raw: bytes, name: str | os.PathLike[str]) -> np.ndarray:
    """Makes an array of a complete uncompressed IDX file; `name` is for error messages."""
    shape = _shape_of(raw, name)
    header_size = 4 + 4 * len(shape)
    _check_size(name, shape, header_size, len(raw))
    return np.frombuffer(raw, np.uint8, offset=header_size).reshape(shape)


def holds_idx_files(folder: Path) -> bool:
    """Whether any of the four files is there, under any of its spellings."""
    return bool(_present(folder))


def _find_files(folder: Path) -> dict[str, Path]:
    paths = _present(folder)
    if missing := [stem for stem in MNIST if stem not in paths]:
        raise DataError(f"{folder}: no {', '.join(missing)} (raw or .gz)")
    return paths


def _present(folder: Path) -> dict[str, Path]:
    paths = {}
    for stem in MNIST:
        spellings = (stem, stem.replace("-idx", ".idx"))
        names = [spelling + suffix for suffix in ("", ".gz") for spelling in spellings]
        found = [folder / name for name in names if (folder / name).is_file()]
        if found:
            paths[stem] = found[0]
    return paths


def _is_mnist(raws: dict[str, bytes], paths: dict[str, Path]) -> bool:
    """Compares a folder with MNIST, and refuses what can only be MNIST swapped or damaged.

    Other sets have MNIST's sizes too (Fashion-MNIST), or some of its files (corrupted images with
    the original labels), so one file that differs proves nothing by itself. One raw file that
    differs beside three originals is taken for damage; as gzip its own checksum has cleared it.
    """
    differing = []
    for stem, raw in raws.items():
        owner = next((known for known in MNIST if MNIST[known].matches(raw)), None)
        if owner not in (stem, None):
            raise DataError(f"{paths[stem]}: expected {stem}, found MNIST's {owner}")
        if owner is None:
            differing.append(stem)
    if len(differing) == 1 and not _is_gzip(paths[differing[0]]):
        raise DataError(
            f"{paths[differing[0]]}: not MNIST's, while the other three files are: damaged? "
            f"(if it is so on purpose, store it as .gz, which carries a checksum)"
        )
    return not differing


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def _read_bytes(path: Path) -> bytes:
    """The uncompressed file, of exactly the size that its header promises."""
    with _open(path) as (file, raw_size):
        head = file.read(4)
        head += file.read(4 * head[3] if len(head) == 4 else 0)
        shape = _shape_of(head, path)
        if raw_size is not None:
            _check_size(path, shape, len(head), raw_size)
        elif math.prod(shape) > (most := max(MAX_SMALL, MAX_RATIO * path.stat().st_size)):
            raise DataError(f"{path}: expected at most {most:,} bytes in this gzip, found {shape}")
        wanted = len(head) + math.prod(shape) + 1  # one more, to notice bytes too many
        raw = bytearray(head)
        # In chunks, because a single read() would allocate whatever the header claims.
        while chunk := file.read(min(CHUNK, wanted - len(raw))):
            raw += chunk
    return bytes(raw)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """Opens raw or gzip for reading, with the size if it is known; errors become DataError."""
    try:
        if _is_gzip(path):
            with gzip.open(path) as file:
                yield file, None  # type: ignore[misc]
        else:
            with path.open("rb") as raw_file:
                yield raw_file, path.stat().st_size
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: expected a complete gzip file, found damage ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _shape_of(head: bytes, name: str | os.PathLike[str]) -> tuple[int, ...]:
    if len(head) < 4 or head[:3] != bytes([0, 0, UINT8]) or not 1 <= head[3] <= MAX_NDIM:
        raise DataError(
            f"{name}: expected an IDX file of unsigned bytes (00 00 08, then 01 to 04), "
            f"found {head[:4].hex(' ') or 'an empty file'}"
        )
    end = 4 + 4 * head[3]
    if len(head) < end:
        raise DataError(f"{name}: expected an IDX header of {end} bytes, found {len(head)}")
    shape = tuple(int(size) for size in np.frombuffer(head[4:end], ">u4"))
    if 0 in shape:
        raise DataError(f"{name}: expected some data, found an empty shape {shape}")
    return shape


def _check_size(
    name: str | os.PathLike[str], shape: tuple[int, ...], header_size: int, actual: int
) -> None:
    expected = header_size + math.prod(shape)
    if actual != expected:
        found = "more" if actual > expected else f"{actual:,}"
        raise DataError(f"{name}: expected {expected:,} bytes for shape {shape}, found {found}")
