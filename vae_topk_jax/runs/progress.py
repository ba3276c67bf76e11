"""What a training run shows while it runs: a bar with the loss and the time left."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vae_topk_jax.runs.plain_console import PlainConsole, plain
from vae_topk_jax.training import Trainer

console = PlainConsole()


class Turn(Protocol):
    """A part of a training run, or of several."""

    @property
    def step(self) -> int:
        """Steps done."""
        ...

    @property
    def loss(self) -> float:
        """The mean loss of its steps."""
        ...


AnyTurn = TypeVar("AnyTurn", bound=Turn)


def show(
    turns: Iterable[AnyTurn], trainer: Trainer, title: str, step: int = 0, runs: int = 1
) -> Iterator[AnyTurn]:
    """Passes the turns on under a bar with the loss, the throughput and the time left, where stdout
    can show one.

    Args:
        turns: of one run, or of several that take the same steps.
        trainer: of the run, or of one of them.
        title: of the bar.
        step: steps done before.
        runs: how many runs take each step.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps {task.fields[report]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    is_shown = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as progress:
        task = progress.add_task(
            plain(title), total=trainer.total_steps, completed=step, report="compiling"
        )
        started = progress.get_time()
        for turn in turns:
            before, step = step, turn.step
            images = (step - before) * trainer.config.batch_size * runs
            rate = images / (progress.get_time() - started)
            report = f"loss {turn.loss:.5g}, {rate:,.0f} images/s"
            progress.update(task, completed=step, report=report)
            yield turn
            started = progress.get_time()
