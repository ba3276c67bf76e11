"""The folder of one run, read back: what was trained, on what, and how far."""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

from vae_topk_jax.checkpoint import CheckpointError, checkpoints, read_info
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs.scalars import SCALARS, read_scalars

CHECKPOINTS = "checkpoints"


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
        info = read_info(path / CHECKPOINTS)
    saved = [int(checkpoint.name) for checkpoint in checkpoints(path / CHECKPOINTS)]
    scalars = read_scalars(path / SCALARS)
    step = max([0, *saved, *(line["step"] for line in scalars)])
    return Run(path, info, step, scalars)
