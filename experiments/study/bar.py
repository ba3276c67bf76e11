"""One bar over all rows of a study."""

import contextlib
import math
from collections.abc import Iterable, Iterator

from rich.progress import BarColumn, Progress, TextColumn

from vae_topk_jax.runs.progress import AnyTurn, console
from vae_topk_jax.training import Trainer

TRAINING = 0.7  # the part of a row's time that goes into training its model


class RowsBar:
    """Shows which row is measured, and about how long all of them take still.

    A row moves the bar by its cost, and each epoch of its model by a part of that. Nothing is shown
    outside `running`, or where the output is no terminal.

    Examples:
        >>> bar = RowsBar()
        >>> with bar.running(cost=2.5), bar.row("row 1 of 2: beta-VAE", cost=1.5):
        ...     bar.show("digit classifier")
    """

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, left="")
        self._begun = self._cost = 0.0

    @contextlib.contextmanager
    def running(self, cost: float) -> Iterator[None]:
        """Shows the bar, empty, while rows of so much cost in all are measured."""
        self._progress.reset(self._task, total=cost)
        with self._progress if console.is_terminal else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def row(self, text: str, cost: float) -> Iterator[None]:
        """The text beside the bar and, at the end, the bar further by the cost."""
        self._begun, self._cost = self._progress.tasks[0].completed, cost
        self.show(text)
        yield
        self._move(1.0)

    def show(self, text: str) -> None:
        """Puts a text beside the bar."""
        self._progress.update(self._task, description=text)

    def training(self, turns: Iterable[AnyTurn], trainer: Trainer) -> Iterator[AnyTurn]:
        """Passes on the turns in which the model of a row is trained, and moves the bar."""
        for turn in turns:
            self._move(TRAINING * turn.step / trainer.total_steps)
            yield turn

    @property
    def fraction(self) -> float:
        """How much is done."""
        task = self._progress.tasks[0]
        return task.completed / task.total if task.total else 0.0

    def _move(self, part: float) -> None:
        """Moves the bar to so much of the current row, if there is one."""
        task = self._progress.tasks[0]
        if not task.total:
            return
        completed = max(task.completed, self._begun + part * self._cost)
        seconds = (task.elapsed or 0.0) * (task.total / completed - 1)
        self._progress.update(self._task, completed=completed, left=time_left(seconds))


def time_left(seconds: float) -> str:
    """About how long something takes still.

    Examples:
        >>> [time_left(seconds) for seconds in (20, 100, 9480)]
        ['less than a minute left', 'about 2 min left', 'about 2 h 38 min left']
    """
    if seconds < 60:
        return "less than a minute left"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"about {f'{hours} h ' if hours else ''}{minutes} min left"
