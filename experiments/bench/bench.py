"""A bench in progress: images, sizes and the rows measured so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.bench.clock import Seconds, alternate
from experiments.bench.free_memory import fits
from experiments.bench.sizes import Sizes
from experiments.records.rows import ResultsFile, Row
from experiments.reporting.tables import Column
from vae_topk_jax.data import Dataset
from vae_topk_jax.runs.progress import console

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
        **options: Any,
    ) -> None:
        """Times contestants in turns and adds a row for each.

        Args:
            experiment, variant, settings: where the rows stand, and what they depend on.
            contestants: the row's model -> what is timed.
            describe: (model, seconds of all) -> metrics of its row.
            options: of `alternate`; a turn lasts as long as the sizes say if nothing else does.
        """
        options = {"least_seconds": self.sizes.turn} | options
        seconds = alternate(contestants, self.sizes.rounds, **options)
        for model, own in seconds.items():
            self.add(experiment, variant, model, settings, describe(model, seconds), own.total)

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
            config={**settings, "rounds": self.sizes.rounds},
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
