"""Every group of the bench: what measures it, and how the report shows it."""

from types import ModuleType
from typing import Literal

from experiments.bench.groups import (
    ahead_of_time,
    bottleneck,
    data,
    decoding,
    dictionary,
    exchanges,
    growth,
    load,
    machine,
    memory,
    profile,
    restoring,
    seeds,
    serving,
    startup,
    threshold,
    training,
)
from experiments.reporting.layout import Experiment

Group = Literal[
    "machine",
    "training",
    "profile",
    "bottleneck",
    "threshold",
    "decoding",
    "dictionary",
    "serving",
    "load",
    "restoring",
    "startup",
    "data",
    "memory",
    "growth",
    "seeds",
    "exchanges",
    "ahead_of_time",
]
# A group has `run`, which measures on a bench, and `LAYOUT`.
GROUPS: dict[Group, ModuleType] = {
    "machine": machine,
    "training": training,
    "profile": profile,
    "bottleneck": bottleneck,
    "threshold": threshold,
    "decoding": decoding,
    "dictionary": dictionary,
    "serving": serving,
    "load": load,
    "restoring": restoring,
    "startup": startup,
    "data": data,
    "memory": memory,
    "growth": growth,
    "seeds": seeds,
    "exchanges": exchanges,
    "ahead_of_time": ahead_of_time,
}
LAYOUTS: tuple[Experiment, ...] = tuple(group.LAYOUT for group in GROUPS.values())
