"""What the faults of `experiments.chaos` share."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vae_topk_jax.data.idx import MNIST, write_idx

SHAPE = (8, 8, 1)


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


def write_images(path: Path, suffix: str = "", train: int = 512) -> None:
    """Random images as four files that are named like MNIST's."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for stem in MNIST:
        count = train if "train" in stem else 64
        shape, top = ((count, *SHAPE[:2]), 256) if "images" in stem else ((count,), 4)
        write_idx(path / f"{stem}{suffix}", rng.integers(0, top, shape, np.uint8))
