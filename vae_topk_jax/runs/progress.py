"""What a training run shows while it runs: a bar with the loss and the time left."""

from collections.abc import Iterable, Iterator

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vae_topk_jax.runs.plain_console import PlainConsole, plain
from vae_topk_jax.training import EpochResult, Trainer

console = PlainConsole()


def show(
    turns: Iterable[EpochResult], trainer: Trainer, title: str, step: int = 0
) -> Iterator[EpochResult]:
    """Passes the turns on under a bar with the loss, the throughput and the time left, where stdout
    can show one."""
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
            before, step = step, int(turn.state.step)
            rate = (step - before) * trainer.config.batch_size / (progress.get_time() - started)
            report = f"loss {turn.terms['loss']:.5g}, {rate:,.0f} images/s"
            progress.update(task, completed=step, report=report)
            yield turn
            started = progress.get_time()
