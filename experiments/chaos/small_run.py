"""What the faults of `experiments.chaos` share."""

import contextlib
import dataclasses
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vae_topk_jax.config import Config
from vae_topk_jax.data.idx import MNIST, write_idx
from vae_topk_jax.inference import Inference
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


def small_model() -> Inference:
    """A model without training, as if its running average had seen a batch."""
    _, state, info = small_run()
    stats = jax.tree.map(jnp.ones_like, state.batch_stats)
    return Inference(dataclasses.replace(state, batch_stats=stats), info)


def write_images(path: Path, suffix: str = "", train: int = 512, seed: int = 0) -> None:
    """Random images as four files that are named like MNIST's."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for stem in MNIST:
        count = train if "train" in stem else 64
        shape, top = ((count, *SHAPE[:2]), 256) if "images" in stem else ((count,), 4)
        write_idx(path / f"{stem}{suffix}", rng.integers(0, top, shape, np.uint8))


def bits_of(state: TrainState, *fields: str) -> list[bytes]:
    """The bits of these fields of a state."""
    leaves = jax.tree.leaves([getattr(state, name) for name in fields])
    keys = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    pairs = zip(leaves, keys, strict=True)
    return [np.asarray(jax.random.key_data(x) if key else x).tobytes() for x, key in pairs]


def small_flags(folder: Path, out: Path) -> list[str]:
    """The flags of a small run of `experiments.train` on the images in `folder`."""
    flags = ["--data", str(folder / "data"), "--out", str(out), "--segment", "9"]
    flags += ["--latent-dim", "8", "--k", "2", "--widths", "32", "--batch-size", "32"]
    return [*flags, "--epochs", "10"]


def start_training(folder: Path, flags: list[str], log: Path | None = None) -> BaseProcess:
    """Starts `experiments.train` with these flags; compiled programs are kept in `folder`.

    A process of its own, forked from one that has done the imports. What it prints goes to `log`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.train"])
    process = context.Process(target=_train, args=(folder, flags, log or Path(os.devnull)))
    process.start()
    return process


def _train(folder: Path, flags: list[str], log: Path) -> None:
    from experiments import train

    jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    train.main(flags)
