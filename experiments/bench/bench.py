"""A bench in progress: images, sizes and the rows measured so far."""

import functools
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from experiments.bench.clock import Seconds, alternate
from experiments.bench.free_memory import fits
from experiments.bench.sizes import Sizes
from experiments.records.intervals import LARGEST, SMALLEST
from experiments.records.rows import ResultsFile, Row
from experiments.reporting.tables import Column
from vae_topk_jax.data import Dataset
from vae_topk_jax.runs.progress import console

Name = TypeVar("Name", bound=Hashable)
Metrics = Mapping[str, float]
MS = Column("ms", "per call", 3, "lower", "ms")


@dataclass(frozen=True)
class Bench:
    """What every group needs.

    Attributes:
        dataset: the images.
        sizes: how much to measure.
        results: the rows so far; a row that is measured again takes the place of the old one.
    """

    dataset: Dataset
    sizes: Sizes
    results: ResultsFile

    def race(
        self,
        experiment: str,
        variant: str,
        contestants: Mapping[str, Callable[[], object]],
        settings: Mapping[str, Any],
        describe: Callable[[str, Mapping[str, Seconds]], Metrics],
        peers: Collection[str] = (),
        **options: Any,
    ) -> None:
        """Times contestants in turns and adds a row for each.

        Args:
            experiment, variant, settings: where the rows stand, and what they depend on.
            contestants: the row's model -> what is timed.
            describe: (model, seconds of all) -> metrics of its row. Of one of ours it is asked also
                in rounds in which no peer has a turn.
            peers: the contestants of other libraries, which have fewer turns.
            options: of `alternate`; a turn lasts as long as the sizes say if nothing else does.
        """
        options = {"least_seconds": self.sizes.turn} | options
        seldom = max(1, self.sizes.rounds // self.sizes.peer_rounds)
        every = dict.fromkeys(peers, seldom)
        seconds = alternate(contestants, self.sizes.rounds, every=every, **options)
        for model, own in seconds.items():
            metrics = over_rounds(functools.partial(describe, model), seconds, own.rounds)
            counted = {**settings, "rounds": len(own.rounds)}
            self.add(experiment, variant, model, counted, metrics, own.total)

    def add(
        self,
        experiment: str,
        variant: str,
        model: str,
        settings: Mapping[str, Any],
        metrics: Metrics,
        seconds: float,
    ) -> None:
        """Adds one row, and shows it."""
        row = Row(
            experiment=experiment,
            variant=variant,
            model=model,
            config={"rounds": self.sizes.rounds, **settings},
            seed=None,
            data=self.dataset.describe(),
            metrics=metrics,
            seconds=round(seconds, 3),
        )
        self.results.replace(row)
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        console.print(f"{experiment} {variant} | {model} | {values}")

    def fits(self, compiled: Any, title: str) -> bool:
        """Whether a compiled program fits, as in `free_memory`; notes it if not."""
        if fits(compiled):
            return True
        self.note(f"{title}: needs more than half of the free memory")
        return False

    def note(self, text: str) -> None:
        """Keeps a line on what was not measured, and shows it."""
        noted = self.results.environment.get("not_measured", [])
        self.results.describe(not_measured=[*(line for line in noted if line != text), text])
        console.print(text)


def over_rounds(
    describe: Callable[[Mapping[Name, Seconds]], Metrics],
    seconds: Mapping[Name, Seconds],
    rounds: Collection[int],
) -> dict[str, float]:
    """Metrics of the median round and, of those that vary, the smallest and the largest in one.

    Args:
        describe: seconds of the contestants -> metrics.
        seconds: of all rounds.
        rounds: the numbers of those that count.

    Examples:
        >>> seconds = {"ours": Seconds({0: 2.0, 1: 3.0, 2: 5.0}), "theirs": Seconds({0: 4.0})}
        >>> over_rounds(lambda seconds: {"s": seconds["ours"].median}, seconds, range(3))
        {'s': 3.0, 's_smallest': 2.0, 's_largest': 5.0}
    """
    metrics = dict(describe(seconds))
    each = [
        describe({name: own.within(turn) for name, own in seconds.items() if turn in own.rounds})
        for turn in rounds
    ]
    for name in list(metrics):
        values = [found[name] for found in each]
        if min(values) < max(values):
            metrics |= {name + SMALLEST: min(values), name + LARGEST: max(values)}
    return metrics
