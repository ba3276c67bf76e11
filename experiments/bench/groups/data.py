"""Data: training from files beside training from the memory, and how soon pictures are ready."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.bench.bench import Bench
from experiments.bench.clock import WARM_UP, Seconds
from experiments.bench.groups.training import epochs
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.config import Config
from vae_topk_jax.data import Rows, load_dataset
from vae_topk_jax.data.doors.npy import rows_of

LAYOUT = Experiment(
    "bench_data",
    "Speed: data",
    "One epoch from an array in the memory and from memory-mapped shards, in turns; and the "
    "seconds until a folder of pictures is ready, decoded for the first time and found decoded.",
    (
        Column("examples_per_second", "examples a second", 0, "higher"),
        Column("share_of_memory", "share of the rate from the memory", 3, "higher"),
        Column("seconds", "until it is ready", 2, "lower", "s"),
    ),
)
MEMORY, SHARDS = "an array in the memory", "shards on the disk"
_SHARDS, _BATCH = 8, 1024
_SIDE = 28


def run(bench: Bench) -> None:
    """Adds a row for each place of the examples, and one for each visit to the pictures."""
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        _run_training(bench, Path(folder) / "shards")
        _run_pictures(bench, Path(folder))


def _run_training(bench: Bench, folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (bench.sizes.images, _SIDE, _SIDE, 1), np.uint8)
    config = Config(
        model="top_k_vae",
        widths=bench.sizes.mlp_widths,
        batch_size=min(_BATCH, len(images)),
        epochs=bench.sizes.rounds + WARM_UP,
    )
    contestants = {
        MEMORY: epochs(config, images),
        SHARDS: epochs(config, _written(images, folder)),
    }

    def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
        return {
            "examples_per_second": len(images) / seconds[model].median,
            "share_of_memory": seconds[MEMORY].median / seconds[model].median,
        }

    settings = config.to_dict() | {"images": len(images), "shards": _SHARDS}
    bench.race(LAYOUT.name, "one epoch", contestants, settings, describe, least_seconds=0.0)


def _written(images: np.ndarray, folder: Path) -> Rows:
    """The images as shards, memory-mapped."""
    folder.mkdir()
    paths = [folder / f"{number}.npy" for number in range(_SHARDS)]
    for path, shard in zip(paths, np.array_split(images, _SHARDS), strict=True):
        np.save(path, shard)
    return rows_of(paths)


def _run_pictures(bench: Bench, folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(bench.sizes.pictures):
        pixels = rng.integers(0, 256, (_SIDE, _SIDE), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    for title in ("decoded for the first time", "found decoded"):
        started = time.perf_counter()
        load_dataset(pictures, cache_dir=folder / "cache")
        seconds = time.perf_counter() - started
        settings = {"pictures": bench.sizes.pictures, "side": _SIDE}
        variant = f"{bench.sizes.pictures:,} PNGs"
        bench.add(LAYOUT.name, variant, title, settings, {"seconds": seconds}, seconds)
