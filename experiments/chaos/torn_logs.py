"""Logs of a run whose end a power cut has torn."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from experiments.chaos.small_run import (
    require,
    small_flags,
    start_training,
    temporary_folder,
    write_images,
)
from vae_topk_jax.checkpoint_folder import latest_checkpoint
from vae_topk_jax.runs.importance_log import IMPORTANCE
from vae_topk_jax.runs.json_lines import drop_after, read_lines
from vae_topk_jax.runs.scalars import SCALARS

Rng = np.random.Generator
_LOGS = [SCALARS, IMPORTANCE]
_TRIALS_A_RUN = 50


def torn_logs(trials: int) -> str:
    """Zeros, half a line, bytes that are no text and the like at the end of scalars.jsonl and
    importance.jsonl: every whole line before them stays, and the run goes on."""
    rng, lost = np.random.default_rng(0), 0
    with temporary_folder() as folder, _warnings() as said:
        write_images(folder / "data")
        first, run = folder / "first", folder / "run"
        start_training(folder, small_flags(folder, first)).join()
        whole = {name: read_lines(first / name) for name in _LOGS}
        for name in _LOGS * trials:
            torn = folder / name
            shutil.copy(first / name, torn)
            kept = _tear(torn, rng)
            require(read_lines(torn) == whole[name][:kept], f"{name}: other lines")
            drop_after(torn, 2**31)
            require(torn.read_bytes().count(b"\n") == kept, f"{name} is still torn")
            lost += len(whole[name]) - kept
        require(all(str(folder) in line for line in said), "a warning that names no file")
        runs = max(1, trials // _TRIALS_A_RUN)
        for _ in range(runs):
            shutil.copytree(first, run)
            shutil.rmtree(latest_checkpoint(run))  # so that there is something to go on with
            for name in _LOGS:
                _tear(run / name, rng)
            flags, printed = [*small_flags(folder, run), "--resume"], folder / "printed"
            process = start_training(folder, flags, printed)
            process.join()
            require(process.exitcode == 0, printed.read_text())
            for name in _LOGS:
                lines = iter(whole[name])
                same = all(line in lines for line in read_lines(run / name))
                require(same and next(lines, None) is None, f"{name}: other lines in the end")
            shutil.rmtree(run)
    return f"{2 * trials} files, {len(said)} with a warning, {lost} lines lost; {runs} runs went on"


def _tear(path: Path, rng: Rng) -> int:
    """Damages the end of a file; gives how many whole lines are left before that."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = int(rng.integers(len(lines) + 1))
    half = b"" if kept == len(lines) else lines[kept][: rng.integers(1, len(lines[kept]))]
    ends = [
        half,
        bytes(int(rng.integers(1, 5000))),
        half + bytes(int(rng.integers(1, 5000))) + b"\n",
        b"\xff\xfe" + rng.bytes(20) + b"\n",
        b"null\n",
        b"[1]\n",
        b'{"loss": 0.5}\n',
        b'{"step": "1"}\n',
        b'{"step": 1e999}\n',
        b"[" * 100_000 + b"\n",
    ]
    path.write_bytes(b"".join(lines[:kept]) + ends[rng.integers(len(ends))])
    return kept


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings of this package, in place of the screen."""
    said: list[str] = []
    handler, log = logging.Handler(), logging.getLogger("vae_topk_jax")
    with (
        mock.patch.object(handler, "emit", lambda record: said.append(record.getMessage())),
        mock.patch.multiple(log, handlers=[handler], propagate=False),
    ):
        yield said
