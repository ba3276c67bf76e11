"""The settings of an experiment's rows, each written once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.records.rows import Place, Row
from experiments.records.settings import changed_settings, listed, shared_settings

_LEVELS: tuple[Callable[[Place], str], ...] = (
    lambda place: "all",
    lambda place: place.variant,
    lambda place: place.model,
    lambda place: ", ".join(filter(None, (place.model, place.variant))),
)


def describe_settings(rows: Sequence[Row]) -> Iterator[str]:
    """The settings besides the defaults: what all rows share, then variant by variant and so on.

    Rows of trained models come first, those without a configuration (PCA) after them.
    """
    for trained in (True, False):
        settings = {
            row.place.of_any_seed: changed_settings(row.config)
            for row in rows
            if row.config and ("model" in row.config) == trained
        }
        yield from _described(settings, "all trained models" if trained else "all others")


def _described(settings: dict[Place, dict[str, Any]], title_of_all: str) -> Iterator[str]:
    for level in _LEVELS:
        groups: dict[str, list[Place]] = {}
        for place in settings:
            groups.setdefault(level(place), []).append(place)
        for title, places in groups.items():
            shared = shared_settings(settings[place] for place in places)
            if shared:
                yield f"{title_of_all if title == 'all' else title}: {listed(shared)}"
            for place in places:
                settings[place] = {
                    name: x for name, x in settings[place].items() if name not in shared
                }
