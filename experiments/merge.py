"""Joins results of several folders: seeds trained side by side, or on several machines.

    python -m experiments.merge --runs runs/a runs/b --out runs/both

Histories and pictures are kept for the first seed of each model only, as in a single run.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.records.rows import Key, Row, earlier_facts, read_results, write_results
from experiments.report import LAYOUTS
from experiments.reporting.compose import write_report
from experiments.terminal import cli
from vae_topk_jax.runs.progress import console


def merge(runs: Iterable[Path], out: Path) -> list[Row]:
    """Writes the rows of all runs to `out`; a row measured twice is kept once.

    The environment is that of the first run, with what differs in the others under "earlier".

    Raises:
        FileNotFoundError, ValueError: a run without results, or with damaged ones.
    """
    environments: list[dict[str, Any]] = []
    rows: dict[Key, Row] = {}
    for run in runs:
        environment, found = read_results(run)
        environments.append(environment)
        rows |= {row.key: row for row in found}
    if earlier := earlier_facts(*environments):
        environments[0]["earlier"] = earlier
    merged = [_without_extras(row, rows.values()) for row in rows.values()]
    write_results(out, merged, environments[0])
    return merged


def _without_extras(row: Row, rows: Iterable[Row]) -> Row:
    place = row.place.of_any_seed
    seeds = [other.seed for other in rows if other.place.of_any_seed == place]
    if row.seed is None or row.seed == min(seed for seed in seeds if seed is not None):
        return row
    return replace(row, history=None, pictures=None)


def main(runs: tuple[Path, ...], out: Path) -> None:
    """Joins results of several folders and writes their report.

    Args:
        runs: folders (or files) of results.
        out: folder of the joint results.json and report.
    """
    if not runs:
        raise ValueError("runs must name at least one folder, got none")
    rows = merge(runs, out)
    console.print(f"{len(rows)} rows")
    write_report(out, LAYOUTS)


if __name__ == "__main__":
    cli.run(main)
