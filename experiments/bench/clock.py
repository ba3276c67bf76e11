"""Contestants timed in turns, so that whatever else the machine does meets all of them alike."""

import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import jax
import numpy as np

WARM_UP = 2

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Seconds:
    """What one call took.

    Attributes:
        rounds: the number of each round -> seconds of a call in it.
        first: of the very first call, which compiles.
        repeats: calls in a round.
    """

    rounds: Mapping[int, float]
    first: float = math.nan
    repeats: int = 1

    @property
    def median(self) -> float:
        """Of the rounds."""
        return float(np.median([*self.rounds.values()]))

    @property
    def total(self) -> float:
        """Of all calls in all rounds."""
        return sum(self.rounds.values()) * self.repeats

    def within(self, number: int) -> "Seconds":
        """Of that round alone."""
        return Seconds({number: self.rounds[number]}, self.first, self.repeats)


def alternate(
    contestants: Mapping[Name, Callable[[], object]],
    rounds: int,
    least_seconds: float = 0.0,
    warm_up: int = WARM_UP,
    every: Mapping[Name, int] | None = None,
) -> dict[Name, Seconds]:
    """Seconds of a call of each contestant, timed in turns.

    Args:
        contestants: functions of nothing; what they return is waited for.
        rounds: how often each has its turn; the first and the last change places every round.
        least_seconds: so long a turn lasts at least; short calls are repeated.
        warm_up: calls of each before that.
        every: contestants that have a turn only in every so many rounds, from the first on.

    Examples:
        >>> seconds = alternate({"sum": lambda: sum(range(1000)), "nothing": lambda: None}, 3)
        >>> seconds["nothing"].median < seconds["sum"].median
        True
    """
    warm = {
        name: [_time(contestant, 1) for _ in range(warm_up)]
        for name, contestant in contestants.items()
    }
    repeats = {
        name: max(1, math.ceil(least_seconds / max(own[-1], 1e-9))) for name, own in warm.items()
    }
    seconds: dict[Name, dict[int, float]] = {name: {} for name in contestants}
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            if turn % (every or {}).get(name, 1) == 0:
                seconds[name][turn] = _time(contestants[name], repeats[name]) / repeats[name]
    return {name: Seconds(own, warm[name][0], repeats[name]) for name, own in seconds.items()}


def _time(contestant: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(contestant())
    return time.perf_counter() - started
