"""Runs that are killed again and again, and go on.

A fault counts the trials with the right outcome and raises on the first wrong one.
"""

import dataclasses
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from experiments.chaos.small_run import (
    WrongOutcomeError,
    bits_of,
    require,
    small_flags,
    start_training,
    temporary_folder,
    write_images,
)
from vae_topk_jax.checkpoint import restore_checkpoint
from vae_topk_jax.checkpoint_folder import CheckpointError, checkpoints
from vae_topk_jax.runs.run_folder import saved_info
from vae_topk_jax.runs.scalars import SCALARS, read_scalars
from vae_topk_jax.training import TrainState


def kill(trials: int) -> str:
    """kill -9 at a random moment of training or saving: a run that is killed again and again, and
    each time goes on, ends with the bits and the scalars of one never killed."""
    rng, killed, early, runs = np.random.default_rng(0), 0, 0, 0
    with temporary_folder() as folder:
        seconds = _train_unbroken(folder)
        while killed < trials or (folder / "run").exists():
            process = _start(folder)
            process.join(rng.uniform(0.1, 1.0) * seconds if killed < trials else None)
            if _kill(process):
                killed += 1
                early += not checkpoints(folder / "run")
            else:
                _require_outcome(folder)
                runs += 1
    return (
        f"{killed} kills in {runs} runs, {early} of them before the first checkpoint, every run "
        "bit-exact at its end"
    )


def first_save(trials: int) -> str:
    """kill -9 during the first save of a run: there is nothing to resume, which is said, and the
    same command begins anew and ends with the bits and the scalars of a run never killed."""
    rng, killed = np.random.default_rng(0), 0
    with temporary_folder() as folder:
        _train_unbroken(folder)
        out = folder / "run"
        while killed < trials:
            process = _start(folder)
            while not (out / "checkpoints").exists() and process.is_alive():
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.05))
            was_killed = _kill(process)
            if was_killed and not checkpoints(out):
                killed += 1
                _require_nothing_to_resume(out)
            else:
                shutil.rmtree(out)
        _start(folder).join()
        _require_outcome(folder)
    return f"{killed} killed, each begun anew in the same folder, the last to its end"


def _train_unbroken(folder: Path) -> float:
    """Makes the images and the run to compare with; gives the seconds that a run takes."""
    write_images(folder / "data")
    start_training(folder, small_flags(folder, folder / "first")).join()
    started = time.perf_counter()
    start_training(folder, small_flags(folder, folder / "unbroken")).join()
    return time.perf_counter() - started


def _start(folder: Path) -> BaseProcess:
    """Starts the run, or goes on with it where there is something to go on with."""
    flags = small_flags(folder, folder / "run")
    return start_training(folder, [*flags, "--resume"] if checkpoints(folder / "run") else flags)


def _kill(process: BaseProcess) -> bool:
    """Whether it was still running."""
    process.kill()
    process.join()
    require(process.exitcode in (0, -signal.SIGKILL), f"it ended with {process.exitcode}")
    return process.exitcode != 0


def _require_nothing_to_resume(out: Path) -> None:
    try:
        saved_info(out)
    except CheckpointError as refusal:
        require("nothing has been saved there yet" in str(refusal), str(refusal))
    else:
        raise WrongOutcomeError("a run without a checkpoint can be resumed")


def _require_outcome(folder: Path) -> None:
    """Compares the run with the unbroken one, and removes it."""
    same = _outcome(folder / "run") == _outcome(folder / "unbroken")
    require(same, "a run ended with other bits than one never killed")
    shutil.rmtree(folder / "run")


def _outcome(out: Path) -> object:
    state = restore_checkpoint(out).state
    fields = [field.name for field in dataclasses.fields(TrainState)]
    return bits_of(state, *fields), read_scalars(out / SCALARS)
