"""Measures everything on this machine, each contestant in turn with its rivals.

    python -m experiments.bench
    python -m experiments.bench --only training --rounds 15

Leaves results.json and the report in `--out`. Peers (PyTorch, pythae) need the extra `bench`.
"""

import dataclasses
from pathlib import Path
from typing import Literal

from experiments.bench.bench import Bench
from experiments.bench.registry import GROUPS, LAYOUTS, Group
from experiments.bench.sizes import PRESETS
from experiments.records.rows import ResultsFile
from experiments.reporting.compose import write_report
from experiments.terminal import cli
from vae_topk_jax.data import load_dataset


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
        data: images: "auto", "download", "npm", "embedded", "tfds:NAME", "sprites", or a
            file or folder (docs/data.md).
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
        GROUPS[group].run(bench)
    write_report(folder, LAYOUTS)


if __name__ == "__main__":
    cli.run(main)
