"""Where the checkpoints of a run lie, and what each of them says of itself.

A run keeps one checkpoint per saved step in its folder `checkpoints`: `00000468/`, `00000936/`, ...

    state/      the whole train state, written by Orbax
    about.json  what is needed to read it: format, configuration, image shape, source of the data
    MANIFEST    the SHA-256 checksums of all files
"""

import json
from pathlib import Path
from typing import Any

from vae_topk_jax import manifest
from vae_topk_jax.run_info import RunInfo

CHECKPOINTS = "checkpoints"
ABOUT = "about.json"
FORMAT_VERSION = 3


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another run."""


def checkpoints(folder: Path | str) -> list[Path]:
    """The checkpoints of a run, oldest first.

    Args:
        folder: the run's folder, or its folder of checkpoints.
    """
    folder = Path(folder).resolve()
    for place in (folder, folder / CHECKPOINTS):
        if found := sorted(path for path in place.glob("[0-9]" * 8) if is_checkpoint(path)):
            return found
    return []


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


def read_info(path: Path | str) -> RunInfo:
    """What travels with the weights of a checkpoint or of a run's newest one.

    Raises:
        CheckpointError: there is none, it is of another format, or says what cannot be.
    """
    path = latest_checkpoint(path)
    about = read_about(path)
    try:
        return RunInfo.from_dict(about)
    except ValueError as error:
        raise CheckpointError(f"{path / ABOUT}: {error}") from None


def read_about(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself.

    Raises:
        CheckpointError: a missing or damaged file, or another format.
    """
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise CheckpointError(f"{path / ABOUT} is missing or damaged")
    if about.get("format") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {about.get('format')}, this version reads {FORMAT_VERSION}"
        )
    return about


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is a checkpoint."""
    return (path / manifest.NAME).is_file() or (path / ABOUT).is_file()
