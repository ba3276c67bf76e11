"""Strict types, strict ranks and two CPU devices for every test."""

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest

from tests.helpers.idx_files import write_dataset
from vae_topk_jax.data import Dataset

# A shell that starts the tests in the background lets them ignore SIGINT, which many of them send.
signal.signal(signal.SIGINT, signal.default_int_handler)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Many tests, and the processes that they start, compile the same small programs, and run each but a
# few times: they are compiled fast instead of well, and once per session and worker. (Entries of
# the cache are not written at once, so that no two workers may share one, and processes that start
# together leave most of theirs out.)
_cache = tempfile.TemporaryDirectory(prefix="vae-topk-xla-", ignore_cleanup_errors=True)
for _name, _value, _in_processes in [
    ("jax_compilation_cache_dir", _cache.name, _cache.name),
    ("jax_persistent_cache_min_compile_time_secs", 0.0, 0.1),
    ("jax_disable_most_optimizations", True, True),
]:
    jax.config.update(_name, _value)
    os.environ[_name.upper()] = str(_in_processes)

# Tracing makes many objects that live long, through which each collection would go again.
gc.set_threshold(50_000, 20, 20)

_MOST_MAPS = 15_000


@pytest.fixture(scope="module", autouse=True)
def few_programs() -> Iterator[None]:
    """Forgets compiled programs once there are many: each has memory maps of its own, and Linux
    grants a process 65,530 of them."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def blobs() -> Dataset:
    """A small data set with structure: 12 x 12 images of a bright spot whose place is its label."""
    rng = np.random.default_rng(0)
    grid_12 = np.arange(12)

    def split(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(0, 4, n).astype(np.int32)
        centres_Nx2 = (
            3 + 6 * np.stack([labels // 2, labels % 2], axis=1) + rng.normal(0, 0.7, (n, 2))
        )
        rows = np.exp(-((grid_12 - centres_Nx2[:, :1]) ** 2) / 4)
        columns = np.exp(-((grid_12 - centres_Nx2[:, 1:]) ** 2) / 4)
        images = 255 * rows[:, :, None] * columns[:, None, :]
        return images[..., None].astype(np.uint8), labels

    return Dataset("blobs", "synthetic spots", *split(512), *split(128))


@pytest.fixture
def data(blobs: Dataset, tmp_path: Path) -> Path:
    """The blobs as a folder of IDX files."""
    return write_dataset(tmp_path / "spots", blobs)


@pytest.fixture(scope="session")
def golden_run() -> Path:
    """The folder of the run that every version reads, with one checkpoint, `00000004`."""
    return Path(__file__).parent / "golden" / "run"
