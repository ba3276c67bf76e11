"""The rows of a table before they are measured."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.records.rows import Key, Place, row_key


class Measurement(NamedTuple):
    """What measuring a model gives to its row."""

    metrics: dict[str, float]
    pictures: dict[str, np.ndarray] | None = None
    history: dict[str, Any] | None = None


class Planned(NamedTuple):
    """A row that is still to be measured.

    Attributes:
        place: where it stands in the report.
        config: every setting the measurement depends on.
        data: `source`, and the counts `train` and `test`.
        measure: trains the model where there is one, and measures it.
        cost: about how long that takes, in trainings of a small model.
    """

    place: Place
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    measure: Callable[[], Measurement]
    cost: float

    @property
    def key(self) -> Key:
        return row_key(self.place, self.config)

    @property
    def title(self) -> str:
        """The model and its variant.

        Examples:
            >>> place = Place("table1", "averaged KL", "beta-VAE", 0)
            >>> Planned(place, {}, {}, lambda: Measurement({}), 1).title
            'beta-VAE, averaged KL, seed 0'
        """
        _, variant, model, seed = self.place
        return ", ".join(filter(None, (model, variant, "" if seed is None else f"seed {seed}")))


def titled(rows: Iterable[Planned], part: str) -> Iterator[Planned]:
    """The rows of the models with this in their titles."""
    return (row for row in rows if part in row.place.model)
