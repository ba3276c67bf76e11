"""Under which protocol rows were measured, and what it leaves out of the paper's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.records.rows import Row
from experiments.reporting.document import Banner
from experiments.reporting.layout import Experiment
from experiments.study.budget import PRESETS, Budget

FULL = "paper"  # the preset that measures all


class Protocol(NamedTuple):
    """What decides how far rows can be trusted.

    Attributes:
        preset: the name under which it was asked for; empty if it is not known.
        epochs: of the trained models, ascending; empty if they are not known.
        seeds: ascending.
        images: numbers of training images, ascending.
    """

    preset: str
    epochs: Sequence[int]
    seeds: Sequence[int]
    images: Sequence[int]

    @property
    def is_full(self) -> bool:
        """Whether seeds and epochs are at least those of the paper's preset."""
        return {*self.seeds} >= {*PRESETS[FULL].seeds} and not self.missing_epochs

    @property
    def missing_epochs(self) -> int:
        """How many epochs some model lacks."""
        if not self.epochs:
            return 0
        full = max(PRESETS[FULL].training.over(images) for images in self.images)
        return max(0, full - min(self.epochs))

    def __str__(self) -> str:
        seeds = len(self.seeds)
        parts = [_range(self.epochs, "epoch")] if self.epochs else []
        parts += [_range((seeds, seeds), "seed"), _range(self.images, "training image")]
        return f"{self.preset}: {', '.join(parts)}".removeprefix(": ")


def read_protocol(rows: Iterable[Row]) -> Protocol | None:
    """The protocol of the trained models among the rows; None if there is none.

    The preset is the one that has these seeds and epochs.
    """
    trained = [row for row in rows if row.seed is not None]
    if not trained:
        return None
    epochs, seeds, images = (
        sorted(set(values))
        for values in (
            (row.config["epochs"] for row in trained if "epochs" in row.config),
            (row.seed for row in trained),
            (row.data["train"] for row in trained),
        )
    )
    matching = (
        name
        for name, budget in PRESETS.items()
        if [*budget.seeds] == seeds
        and [budget.training.over(n) for n in images] == epochs
        and budget.train_images in (None, *images)
    )
    return Protocol(next(matching, ""), epochs, seeds, images)


def banner(
    shown: Sequence[tuple[Experiment, Sequence[Row]]], environment: Mapping[str, Any]
) -> Banner | None:
    """What was run in one line, and what is missing from the paper's protocol where it is one of
    the paper's tables.

    The preset is the one that the environment names; of the paper's tables it is found from the
    rows where the environment names none.
    """
    protocol = read_protocol(row for _, rows in shown for row in rows)
    if protocol is None:
        return None
    of_paper = [(experiment, rows) for experiment, rows in shown if experiment.paper]
    found = protocol.preset if of_paper else ""
    protocol = protocol._replace(preset=environment.get("preset", found))
    title = str(protocol)
    if of_paper and not protocol.is_full:
        title += "; not the paper's protocol"
    lines = []
    if len(protocol.seeds) == 1:
        lines.append("With one seed there are no intervals, so every comparison is inconclusive.")
    if of_paper and (missing := [*_missing(protocol, of_paper)]):
        names = [experiment.name for experiment, _ in of_paper]
        command = names[0] if len(names) == 1 else "reproduce"
        lines.append(f"Left out: {'; '.join(missing)}.")
        lines.append(f"All of it: python -m experiments.{command} --preset {FULL}")
    return Banner(title, lines)


def _missing(
    protocol: Protocol, shown: Iterable[tuple[Experiment, Sequence[Row]]]
) -> Iterator[str]:
    full: Budget = PRESETS[FULL]
    if seeds := len({*full.seeds} - {*protocol.seeds}):
        yield f"{seeds} of {len(full.seeds)} seeds"
    if epochs := protocol.missing_epochs:
        yield f"{epochs} of {epochs + min(protocol.epochs)} epochs"
    for experiment, rows in shown:
        for kind, all_of_them in (("variant", experiment.variants), ("model", experiment.models)):
            present = {getattr(row, kind) for row in rows}
            if missing := [name for name in all_of_them if name not in present]:
                yield f"{', '.join(missing)} ({experiment.heading})"
        samples = {row.config["samples"] for row in rows if "samples" in row.config}
        if samples and min(samples) < full.samples:
            yield f"{full.samples - min(samples):,} of {full.samples:,} generated images"


def _range(numbers: Sequence[int], noun: str) -> str:
    first, last = min(numbers), max(numbers)
    counted = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    return f"{counted} {noun}{'s' if last != 1 else ''}"
