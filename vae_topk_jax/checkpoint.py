"""Checkpoints of a training run, written and read. The only file that imports Orbax.

`vae_topk_jax.checkpoint_folder` describes the files. A checkpoint gets its name when all of it is
on the disk, so that a reader sees all of it or nothing, and it is compared with its manifest before
it is used. It holds complete arrays, however they were split over devices: a run goes on from it on
any number of them. Where several processes train together all of them save at the same time, into
a folder that all of them see, and process 0 writes.
"""

import contextlib
import dataclasses
import errno
import functools
import json
import logging
import math
import os
import shutil
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import v1 as ocp

from vae_topk_jax import manifest
from vae_topk_jax.checkpoint_folder import (
    ABOUT,
    FORMAT_VERSION,
    CheckpointError,
    checkpoint_name,
    checkpoints,
    find_intact,
    read_about,
    read_info,
    read_latest,
    set_aside,
)
from vae_topk_jax.files import new_folder
from vae_topk_jax.foreign import regular_files
from vae_topk_jax.processes import agreed, barrier, is_main
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.sharding import to_host
from vae_topk_jax.steps import TrainState

_STATE = "state"
_MOST_COMPRESSED = 100  # weights hardly are; an optimizer that has not begun, all zeros, is
_log = logging.getLogger(__name__)


class Restored(NamedTuple):
    """What a checkpoint holds."""

    state: TrainState
    info: RunInfo


def save_checkpoint(
    folder: Path | str, state: TrainState, info: RunInfo, error: float = math.inf
) -> Path:
    """Writes the state as `folder/<step>`, all of it or nothing.

    Args:
        folder: the run's folder of checkpoints; made if it is missing.
        state: the state to keep.
        info: what travels with it.
        error: by which the best checkpoint of a run is chosen, the smaller the better.

    Returns:
        The checkpoint's path.

    Raises:
        CheckpointError: the step is there already, or it cannot be written: the disk is full, the
            folder is read-only or gone. Earlier checkpoints are left as they were.
    """
    return _write(Path(folder), to_host(_as_tree(state)), info, error)


def _write(folder: Path, tree: dict[str, Any], info: RunInfo, error: float) -> Path:
    path = folder.resolve() / checkpoint_name(int(tree["step"]))
    if path.exists():
        raise CheckpointError(f"{path} exists already")
    about = {
        "format": FORMAT_VERSION,
        **info.to_dict(),
        "error": error if math.isfinite(error) else None,
    }
    try:
        with _common_folder(path) as partial:
            with _quiet():
                ocp.save(partial / _STATE, tree)
            if is_main():
                text = json.dumps(about, indent=1) + "\n"
                (partial / ABOUT).write_text(text, encoding="utf-8")
                manifest.write_manifest(partial)
    except jax.errors.JaxRuntimeError:  # another process is gone
        raise
    except Exception as cause:
        raise CheckpointError(f"cannot write checkpoint {path}: {_reason(cause)}") from cause
    return path


@contextlib.contextmanager
def _common_folder(path: Path) -> Iterator[Path]:
    """`new_folder` of process 0, in every process."""
    made = new_folder(path) if is_main() else contextlib.nullcontext(path)
    with made as partial:
        yield path.with_name(agreed(partial.name))
    barrier(path.name)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracebacks that Orbax logs before it raises them."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)


def _not_of_orbax(record: logging.LogRecord) -> bool:
    """False for a read of Orbax's or TensorStore's that failed beside the one whose error was
    raised: asyncio logs it when it is collected, which may be at any time."""
    _, error, tb = record.exc_info or (None, None, None)
    files = (Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(tb))
    return "tensorstore" not in str(error) and not any("orbax" in file.parts for file in files)


logging.getLogger("asyncio").addFilter(_not_of_orbax)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Orbax reads in this process without waiting for others."""
    context = ocp.Context()
    context.multiprocessing.primary_host = jax.process_index()
    context.multiprocessing.active_processes = {jax.process_index()}
    context.multiprocessing.barrier_sync_key_prefix = str(jax.process_index())
    with context:
        yield


def _reason(cause: Exception) -> str:
    """What the system said, out of what others made of it."""
    full = os.strerror(errno.ENOSPC)
    if full in str(cause):
        return full
    lines = str(cause).strip().splitlines()
    return lines[-1] if lines else type(cause).__name__


class CheckpointWriter:
    """Writes the checkpoints of a run beside its training and keeps the last few and the best.

    Where several processes train together a write is waited for: it exchanges messages, which must
    not cross those of a step.

    A context manager; leaving it waits for the last write. An error of a write is raised by the
    next call, or logged if another one is on its way.

    Attributes:
        folder: the run's folder of checkpoints.
        info: what travels with the weights.
        keep: how many of the newest are kept; the one of the smallest error is kept besides.
    """

    def __init__(self, folder: Path | str, info: RunInfo, keep: int = 3):
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder, self.info, self.keep = Path(folder), info, keep
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future | None = None

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, *failure: object) -> None:
        self._thread.shutdown()
        try:
            self.wait()
        except Exception as error:
            if failure[0] is None:
                raise
            _log.error("%s", error)

    def save(self, state: TrainState, error: float = math.inf) -> None:
        """Takes a copy of the state and returns; the copy is written meanwhile."""
        self.wait()
        self._writing = self._thread.submit(self._write, to_host(_as_tree(state)), error)
        if jax.process_count() > 1:
            self.wait()

    def wait(self) -> None:
        """Returns when nothing is being written.

        Raises:
            CheckpointError: the last write failed.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, tree: dict[str, Any], error: float) -> None:
        _write(self.folder, tree, self.info, error)
        if is_main():
            for path in _superfluous(self.folder, self.keep):
                path.rename(path.with_name(f".{path.name}.partial"))
            for path in self.folder.glob(".*.partial"):
                shutil.rmtree(path)


def _superfluous(folder: Path, keep: int) -> list[Path]:
    """All but the newest `keep` and the best."""
    paths = checkpoints(folder)
    errors = [_error_of(path) for path in paths]
    best = min(range(len(paths)), key=errors.__getitem__, default=None)
    return [path for i, path in enumerate(paths[:-keep]) if i != best]


def _error_of(path: Path) -> float:
    try:
        error = read_about(path).get("error")
    except (CheckpointError, OSError):
        return math.inf
    return error if isinstance(error, int | float) else math.inf


def restore_checkpoint(path: Path | str, *, verify: bool = True) -> Restored:
    """The state and the information saved in a checkpoint or in a run's newest one.

    The state lies on one device of the process that calls; `Trainer.place` lays it out over more.

    Args:
        path: a run's folder, its folder of checkpoints, or one checkpoint.
        verify: compare every file with the manifest first.

    Raises:
        CheckpointError: there is none, a file of it is damaged, missing or foreign (named), it is
            of another format, or its arrays are not those of its configuration.
    """
    return read_latest(path, functools.partial(_restore, verify=verify))


def _restore(path: Path, verify: bool) -> Restored:
    try:
        if verify:
            manifest.verify(path)
        else:
            regular_files(path)
    except ValueError as cause:
        raise CheckpointError(str(cause)) from None
    info = read_info(path)
    try:
        shapes = jax.eval_shape(_as_tree, info.trainer.abstract_state())
    except Exception as cause:  # of many types, where no model has these sizes
        raise CheckpointError(f"{path / ABOUT}: {_reason(cause)}") from None
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    expected = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), shapes
    )
    try:
        with _quiet(), _alone():
            _check_arrays(path, expected)
            tree = ocp.load(path / _STATE, expected)
    except CheckpointError:
        raise
    except Exception as cause:
        raise CheckpointError(f"cannot read checkpoint {path}: {_reason(cause)}") from None
    return Restored(TrainState(**tree | {"rng": jax.random.wrap_key_data(tree["rng"])}), info)


def restore_newest_whole(folder: Path | str) -> Restored:
    """The newest checkpoint of a run that is intact, for the run that goes on from it.

    Newer ones whose files are not those of their manifest are renamed to `<step>.damaged-1` and so
    on, which is logged. Call it as the only writer of the folder.

    Args:
        folder: the run's folder, or its folder of checkpoints.

    Raises:
        CheckpointError: there is none, or it cannot be read for another reason than damage;
            nothing is renamed then.
        OSError: a file that cannot be read.
    """
    path, damage = find_intact(folder)
    restored = restore_checkpoint(path, verify=False)
    for damaged, reason in damage.items():
        aside = set_aside(damaged)
        _log.warning("NOT USED: %s. Falling back to %s; kept as %s.", reason, path.name, aside.name)
    return restored


def _check_arrays(path: Path, expected: dict[str, Any]) -> None:
    """Compares shapes and types before Orbax does, which casts types without a word; and sizes,
    before memory is taken for parts that are not there, which count as zeros."""
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(expected))
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if size > _MOST_COMPRESSED * stored:
        raise CheckpointError(f"{path}: {stored:,} bytes cannot hold the {size:,} of its arrays")
    saved: Any = ocp.metadata(path / _STATE).metadata
    wanted, found = (
        {jax.tree_util.keystr(key, simple=True, separator="/"): leaf for key, leaf in leaves}
        for leaves in map(jax.tree_util.tree_leaves_with_path, (expected, saved))
    )
    for name in sorted(wanted.keys() | found.keys()):
        if (want := _describe(wanted, name)) != (have := _describe(found, name)):
            given = f" with jax_default_prng_impl={jax.config.jax_default_prng_impl!r}"
            raise CheckpointError(
                f"{path}: {name} is {have}, the configuration wants {want}"
                f"{given if name == 'rng' else ''}"
            )


def _describe(leaves: dict[str, Any], name: str) -> str:
    return f"{leaves[name].dtype}{leaves[name].shape}" if name in leaves else "missing"


def _as_tree(state: TrainState) -> dict[str, Any]:
    tree = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return tree | {"rng": jax.random.key_data(state.rng)}
