"""What a training run tells while it runs: a progress bar, and scalars on disk."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vae_topk_jax.files import write_atomic
from vae_topk_jax.training import EpochResult, Trainer

console = Console(highlight=False)


def show(
    turns: Iterable[EpochResult], trainer: Trainer, title: str, step: int = 0
) -> Iterator[EpochResult]:
    """Passes the turns on under a bar with the loss, the throughput and the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps {task.fields[report]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(
            title, total=trainer.total_steps, completed=step, report="compiling"
        )
        started = progress.get_time()
        for turn in turns:
            before, step = step, int(turn.state.step)
            rate = (step - before) * trainer.config.batch_size / (progress.get_time() - started)
            report = f"loss {turn.terms['loss']:.5g}, {rate:,.0f} images/s"
            progress.update(task, completed=step, report=report)
            yield turn
            started = progress.get_time()


class Scalars:
    """One JSON object a line in `scalars.jsonl`; TensorBoard events beside it if that is installed.

    Lines at or after `resume_step` are dropped first, so that a resumed run repeats none.
    """

    def __init__(self, folder: Path, resume_step: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "scalars.jsonl"
        kept = [line for line in read_scalars(self.path) if line["step"] <= resume_step]
        write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            self._writer = None
        else:
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Adds one line, on disk when this returns."""
        finite = {name: x if math.isfinite(x) else None for name, x in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | finite) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a `scalars.jsonl`, without one that a crash cut short; none if there is no
    such file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
