"""The folder of one run: who may write it, and what it holds."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from vae_topk_jax.checkpoint_folder import (
    CHECKPOINTS,
    CheckpointError,
    checkpoints,
    find_intact,
    holds_checkpoints,
    read_info,
)
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.files import write_atomic
from vae_topk_jax.foreign import check_regular
from vae_topk_jax.json_object import JsonObject
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs.scalars import SCALARS, read_scalars

LOCK, NAMES = ".lock", "inputs.json"


class Run(NamedTuple):
    """One run.

    Attributes:
        path: its folder.
        info: configuration and data; None where there is no checkpoint that can be read.
        step: of the newest checkpoint or scalars.
        scalars: the lines of scalars.jsonl.
    """

    path: Path
    info: RunInfo | None
    step: int
    scalars: list[dict[str, Any]]


def read_run(path: Path) -> Run:
    """The run in a folder; one that has saved nothing yet is at step 0."""
    info = None
    with contextlib.suppress(CheckpointError):
        info = read_info(path)
    saved = [int(checkpoint.name) for checkpoint in checkpoints(path)]
    scalars = read_scalars(path / SCALARS)
    step = max([0, *saved, *(line["step"] for line in scalars)])
    return Run(path, info, step, scalars)


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Holds the lock of a run's folder; the system releases it when the process dies, however it
    does.

    Raises:
        ValueError: another run holds it, or it is no regular file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        check_regular(folder / LOCK)  # locking a link would empty what it leads to
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"{folder} is being written by another run") from None
    try:
        yield
    finally:
        lock.release()


def check_unused(folder: Path) -> None:
    """Refuses a folder in which a run has saved a checkpoint.

    Raises:
        ValueError: it holds a run.
    """
    if holds_checkpoints(folder):
        raise ValueError(f"{folder} holds a run already: resume it, or choose another out")


def clear_unfinished(folder: Path) -> None:
    """Removes what a save that was killed has left. For the writer of the folder alone."""
    for partial in (folder / CHECKPOINTS).glob(".*.partial"):
        shutil.rmtree(partial)


def saved_info(folder: Path) -> RunInfo:
    """Configuration and data of the run in a folder, from its newest checkpoint that is intact.

    Raises:
        CheckpointError: there is none.
    """
    return read_info(find_intact(folder).path)


def write_names(folder: Path, names: Mapping[str, Any]) -> None:
    """Keeps the names of a run's inputs. For the writer of the folder alone."""
    if names:
        write_atomic(folder / NAMES, (json.dumps(dict(names), indent=1) + "\n").encode())


def read_names(folder: Path) -> dict[str, Any]:
    """The names of a run's inputs, and the options of its data; nothing where none were kept.

    Raises:
        ValueError: a file that is not what `write_names` writes.
    """
    if not os.path.lexists(folder / NAMES):
        return {}
    names = JsonObject.read(folder / NAMES)
    try:
        for name in ("data", "inputs"):
            if name in names.fields:
                names.text(name)
        DataOptions.from_saved(names.fields)
    except ValueError as error:
        raise ValueError(f"{folder / NAMES}: {error}") from None
    return names.fields
