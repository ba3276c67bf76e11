"""Where the checkpoints of a run lie, and what each of them says of itself.

A run keeps one checkpoint per saved step in its folder `checkpoints`: `00000468/`, `00000936/`, ...

    state/      the whole train state, written by Orbax
    about.json  what is needed to read it: format, configuration, image shape, source of the data
    MANIFEST    the SHA-256 checksums of all files

The run that writes them removes old ones while others read. Names have eight digits, or as many as
the step has; they are compared as numbers.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vae_topk_jax import manifest
from vae_topk_jax.json_object import JsonObject
from vae_topk_jax.run_info import RunInfo

CHECKPOINTS = "checkpoints"
ABOUT = "about.json"
FORMAT_VERSION = 3
_STEP = re.compile(r"\d{8}|[1-9]\d{8,9}")
_ASIDE = ".damaged-"
_TRIES = 20  # of a reader whose checkpoint is removed while it reads
T = TypeVar("T")


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another run."""


class Intact(NamedTuple):
    """What `find_intact` found.

    Attributes:
        path: the newest checkpoint that is intact.
        damage: what is wrong with those after it, by their paths.
    """

    path: Path
    damage: dict[Path, str]


def checkpoint_name(step: int) -> str:
    """The name of a step's folder.

    Examples:
        >>> checkpoint_name(468), checkpoint_name(2**31 - 1)
        ('00000468', '2147483647')
    """
    return f"{step:08d}"


def checkpoints(folder: Path | str) -> list[Path]:
    """The checkpoints of a run, oldest first.

    Args:
        folder: the run's folder, or its folder of checkpoints.

    Raises:
        OSError: a folder that is there and cannot be read.
    """
    folder = Path(folder).resolve()
    for place in (folder, folder / CHECKPOINTS):
        steps = sorted(int(name) for name in _names(place) if _STEP.fullmatch(name))
        paths = [place / checkpoint_name(step) for step in steps]
        if found := [path for path in paths if is_checkpoint(path)]:
            return found
    return []


def holds_checkpoints(folder: Path) -> bool:
    """Whether a run has saved anything in its folder, be it damaged."""
    names = _names(folder / CHECKPOINTS)
    return bool(checkpoints(folder)) or any(_ASIDE in name for name in names)


def latest_checkpoint(path: Path | str) -> Path:
    """The newest checkpoint of a run, or the checkpoint itself.

    Args:
        path: a run's folder, its folder of checkpoints, or one checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(path).resolve()
    if is_checkpoint(path):
        return path
    found = checkpoints(path)
    if not found:
        raise CheckpointError(f"no checkpoint in {path}")
    return found[-1]


def read_latest(path: Path | str, read: Callable[[Path], T]) -> T:
    """read(checkpoint) of the newest checkpoint of a run, or of the checkpoint itself.

    A run that is being trained may remove a checkpoint while it is read; then the newest is read
    instead.

    Args:
        path: a run's folder, its folder of checkpoints, or one checkpoint.
        read: gets the path of a checkpoint.

    Raises:
        CheckpointError: there is none, `read` raised it or an OSError, or the one checkpoint that
            `path` names was removed.
    """
    path = Path(path).resolve()
    for _ in range(_TRIES):
        checkpoint = latest_checkpoint(path)
        error: Exception | None = None
        try:
            result = read(checkpoint)
        except CheckpointError as failure:
            error = failure
        except OSError as failure:
            error = CheckpointError(
                f"cannot read checkpoint {checkpoint}: {failure.strerror or failure}"
            )
        if is_checkpoint(checkpoint):  # so that nothing of it was removed meanwhile
            if error is not None:
                raise error from None
            return result
        if checkpoint == path:
            raise CheckpointError(f"{path} was removed while it was read: its run keeps newer ones")
    raise CheckpointError(f"the checkpoints in {path} are removed faster than one can be read")


def find_intact(folder: Path | str) -> Intact:
    """The newest checkpoint whose files are those of its manifest; nothing is changed.

    Raises:
        CheckpointError: there is none.
        OSError: files that cannot be read, intact or not.
    """
    found = checkpoints(folder)
    damage: dict[Path, str] = {}
    for path in reversed(found):
        try:
            manifest.verify(path)
        except (manifest.DamagedError, FileNotFoundError) as error:
            if not is_checkpoint(path):  # removed by the run
                return find_intact(folder)
            damage[path] = str(error)
        else:
            return Intact(path, damage)
    if damage:
        raise CheckpointError(
            f"no intact checkpoint in {folder}: every one is damaged; {damage[found[-1]]}"
        )
    raise CheckpointError(f"no checkpoint in {folder}: nothing has been saved there yet")


def set_aside(path: Path) -> Path:
    """Renames a damaged checkpoint, so that it is passed over; nothing is deleted.

    For the writer of the folder alone.

    Returns:
        `<step>.damaged-1`, or the next number that is free.
    """
    names, number = _names(path.parent), 1
    while (name := f"{path.name}{_ASIDE}{number}") in names:
        number += 1
    return path.rename(path.with_name(name))


def read_info(path: Path | str) -> RunInfo:
    """What travels with the weights of a checkpoint or of a run's newest one.

    Raises:
        CheckpointError: there is none, it is of another format, or says what cannot be.
    """

    def read(path: Path) -> RunInfo:
        about = read_about(path)
        try:
            return RunInfo.from_dict(about)
        except ValueError as error:
            raise CheckpointError(f"{path / ABOUT}: {error}") from None

    return read_latest(path, read)


def read_about(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Raises:
        CheckpointError: a file that is missing or holds no description, or another format.
        OSError: a file that cannot be read.
    """
    try:
        about = JsonObject.read(path / ABOUT).fields
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    if about.get("format") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {about.get('format')}, this version reads {FORMAT_VERSION}"
        )
    return about


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is a checkpoint."""
    return (path / manifest.NAME).is_file() or (path / ABOUT).is_file()


def _names(folder: Path) -> list[str]:
    """What is in a folder; nothing if there is none."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
