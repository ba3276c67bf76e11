"""What a budget leaves out of another."""

from collections.abc import Iterable, Iterator

from experiments.records.rows import Place
from experiments.study.budget import Budget
from experiments.study.planned import Planned


def left_out(
    rows: Iterable[Planned], budget: Budget, all_rows: Iterable[Planned], full: Budget
) -> list[str]:
    """What is left out, in a few words each.

    Args:
        rows: those under the budget.
        budget: how much is spent.
        all_rows: those under the full budget.
        full: the full budget.

    Examples:
        >>> from experiments.study.budget import PRESETS
        >>> quick, paper = PRESETS["quick"], PRESETS["paper"]
        >>> left_out([], quick, [], paper)[:2]
        ['4 of 5 seeds', '8 of 10 epochs']
    """
    return [*_fewer(budget, full), *_missing(_places(rows), _places(all_rows))]


def _fewer(budget: Budget, full: Budget) -> Iterator[str]:
    for name, has, wanted in (
        ("seeds", len(budget.seeds), len(full.seeds)),
        ("epochs", budget.training.epochs, full.training.epochs),
        ("images per sampler", budget.samples, full.samples),
        ("codes under the mixture", budget.mixture_codes, full.mixture_codes),
        ("classifiers", budget.classifiers, full.classifiers),
        ("batches of the stability study", budget.stability_batches, full.stability_batches),
    ):
        if has < wanted:
            yield f"{wanted - has:,} of {wanted:,} {name}"
    if budget.train_images is not None:
        yield f"training images after the first {budget.train_images:,}"


def _missing(places: list[Place], wanted: list[Place]) -> Iterator[str]:
    """Of each experiment the variants, and of the others the models, that are not there."""
    for experiment in dict.fromkeys(place.experiment for place in wanted):
        has = [place for place in places if place.experiment == experiment]
        of_it = [place for place in wanted if place.experiment == experiment]
        missing = [
            name
            for field in ("variant", "model")
            for name in dict.fromkeys(getattr(place, field) for place in of_it)
            if name not in {getattr(place, field) for place in has}
        ]
        if missing:
            yield f"{experiment}: {'; '.join(missing)}"


def _places(rows: Iterable[Planned]) -> list[Place]:
    return [row.place.of_any_seed for row in rows]
