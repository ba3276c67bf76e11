"""Contestants timed in turns, so that whatever else the machine does meets all of them alike."""

import math
import time
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, TypeVar

import jax
import numpy as np

WARM_UP = 2

Name = TypeVar("Name", bound=Hashable)


class Seconds(NamedTuple):
    """What one call took.

    Attributes:
        median, fastest: of the rounds.
        total: of all rounds together.
    """

    median: float
    fastest: float
    total: float


def alternate(
    contestants: Mapping[Name, Callable[[], object]],
    rounds: int,
    least_seconds: float = 0.0,
    warm_up: int = WARM_UP,
) -> dict[Name, Seconds]:
    """Seconds of a call of each contestant, timed in turns.

    Args:
        contestants: functions of nothing; what they return is waited for.
        rounds: how often each has its turn; the first and the last change places every round.
        least_seconds: so long a turn lasts at least; short calls are repeated.
        warm_up: calls of each before that.

    Examples:
        >>> seconds = alternate({"sum": lambda: sum(range(1000)), "nothing": lambda: None}, 3)
        >>> seconds["nothing"].median < seconds["sum"].median
        True
    """
    repeats = {}
    for name, contestant in contestants.items():
        warm = [_time(contestant, 1) for _ in range(warm_up)]
        repeats[name] = max(1, math.ceil(least_seconds / max(warm[-1], 1e-9)))
    seconds: dict[Name, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name in list(contestants)[:: -1 if turn % 2 else 1]:
            seconds[name].append(_time(contestants[name], repeats[name]) / repeats[name])
    return {
        name: Seconds(float(np.median(own)), min(own), sum(own) * repeats[name])
        for name, own in seconds.items()
    }


def _time(contestant: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(contestant())
    return time.perf_counter() - started
