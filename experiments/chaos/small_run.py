"""What the faults of `experiments.chaos` share."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vae_topk_jax.config import Config
from vae_topk_jax.data.idx import MNIST, write_idx
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import Trainer

SHAPE = (8, 8, 1)
SMALL = Config(latent_dim=8, k=2, widths=(32,), batch_size=32, epochs=20, sensitivity_every=4)


class WrongOutcomeError(AssertionError):
    """A fault that did what it must not."""


def require(holds: bool, otherwise: str) -> None:
    """Raises WrongOutcomeError unless it holds."""
    if not holds:
        raise WrongOutcomeError(otherwise)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the time being."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as path:
        yield Path(path)


def small_run() -> tuple[Trainer, TrainState, RunInfo]:
    """A run that has not begun."""
    info = RunInfo(SMALL, SHAPE, {"source": "random", "train": 64, "test": 0})
    return info.trainer, info.trainer.init(), info


def write_images(path: Path, suffix: str = "", train: int = 512) -> None:
    """Random images as four files that are named like MNIST's."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for stem in MNIST:
        count = train if "train" in stem else 64
        shape, top = ((count, *SHAPE[:2]), 256) if "images" in stem else ((count,), 4)
        write_idx(path / f"{stem}{suffix}", rng.integers(0, top, shape, np.uint8))
