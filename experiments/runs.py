"""Finds runs again: what there is, what was done, in what two of them differ.

python -m experiments.runs list runs --match kl
python -m experiments.runs show runs/model
python -m experiments.runs compare runs/a runs/b --out runs/a-and-b
"""

import dataclasses
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.table import Table

from experiments.records.intervals import Summary
from experiments.records.measured_run import MeasuredRun, find_runs, read_measured_run
from experiments.records.pictures import encode_images
from experiments.records.rows import Row, write_results
from experiments.records.settings import listed
from experiments.reporting import comparison
from experiments.reporting.columns import columns_of
from experiments.reporting.compose import write_report
from experiments.terminal import cli
from vae_topk_jax.checkpoint_folder import CHECKPOINTS, read_info
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, load_dataset, to_unit_float
from vae_topk_jax.inference import load
from vae_topk_jax.runs.progress import console

_SHOWN = 10  # images of each model in a report
_LOSSES = ("loss", "reconstruction", "kl")


@dataclasses.dataclass(frozen=True)
class List:
    """One line for each run in a folder, those written last at the end."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """Where to look; folders in it are looked through."""
    match: str = ""
    """Only runs with this text in their line."""


@dataclasses.dataclass(frozen=True)
class Show:
    """All that is known of one run."""

    run: tyro.conf.Positional[Path]
    """Its folder."""


@dataclasses.dataclass(frozen=True)
class Compare:
    """Settings in which runs differ, and their metrics side by side."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Their folders."""
    out: Path | None = None
    """Folder of a report with pictures and, where the runs differ in one number, every metric over
    it; none is written if not given."""
    data: str = "auto"
    """The images that the report shows, as in experiments.train; reconstructions are shown of runs
    that were trained on them."""


def show_list(options: List) -> None:
    """Prints a table of the runs in a folder.

    Raises:
        ValueError: none is there.
        FileNotFoundError: no such folder.
    """
    lines = []
    for path in find_runs(options.folder):
        try:
            run = read_measured_run(path)
        except ValueError as error:
            console.print(f"left out: {error}")
            continue
        line = (str(path.relative_to(options.folder)), *_line(run))
        if options.match in " ".join(line):
            lines.append((run.written, line))
    if not lines:
        wanted = f" with {options.match!r} in it" if options.match else ""
        raise ValueError(f"folder must hold a run{wanted}, got {options.folder}")
    header = ("run", "what", "seed", "data", "steps", "metrics", "settings", "written")
    _print_table(str(options.folder), header, [line for _, line in sorted(lines)])


def _line(run: MeasuredRun) -> tuple[str, ...]:
    return (
        run.title,
        run.seeds,
        run.data.get("source", "").partition(" (")[0],
        run.steps,
        listed({name: f"{value:.4g}" for name, value in run.metrics.items()}),
        listed(run.settings),
        _date(run.written),
    )


def show_run(options: Show) -> None:
    """Prints the settings, the metrics and the end of the scalars of a run.

    Raises:
        ValueError: no run there.
    """
    run = read_measured_run(options.run)
    console.print(f"{run.path}: {run.title}, written {_date(run.written)}")
    facts = {"seed": run.seeds, "steps": run.steps, **run.data}
    _print_table("run", ("", ""), [(name, str(value)) for name, value in facts.items() if value])
    defaults = Config().to_dict()
    settings = [
        (name, str(value), "" if value == defaults.get(name) else f"not {defaults.get(name)}")
        for name, value in run.config.items()
    ]
    _print_table("settings", ("", "", "default"), settings)
    for row in run.rows:
        title = ", ".join(filter(None, (row.experiment, row.variant, row.model, f"{row.seed}")))
        _print_table(title, ("metric", ""), [*_printed(row.metrics).items()])
    if run.scalars:
        names = list(run.scalars[-1])
        last = [[_figure(line.get(name)) for name in names] for line in run.scalars[-5:]]
        _print_table("scalars, the last", names, last)


def show_comparison(options: Compare) -> None:
    """Prints in what runs differ, and writes their report if asked to.

    Raises:
        ValueError: fewer than two runs, one that is not, or two of the same name.
    """
    if len(options.runs) < 2:
        raise ValueError(f"compare needs two runs or more, got {len(options.runs)}")
    if len({path.resolve() for path in options.runs}) < len(options.runs):
        raise ValueError(f"runs must be distinct, got {' '.join(map(str, options.runs))}")
    above = os.path.commonpath([path.resolve().parent for path in options.runs])
    runs = {
        str(path.resolve().relative_to(above)): read_measured_run(path) for path in options.runs
    }
    facts = {
        name: {"data": run.data.get("source", ""), "steps": run.steps, **run.config}
        for name, run in runs.items()
    }
    _print_beside("settings that differ", facts, comparison.differing([*facts.values()]))
    metrics = {name: _printed(run.metrics) for name, run in runs.items()}
    _print_beside("metrics", metrics, dict.fromkeys(itertools.chain(*metrics.values())))
    if options.out is not None:
        rows = list(_rows(runs, load_dataset(options.data)))
        write_results(options.out, rows)
        write_report(options.out, [])


def _rows(runs: Mapping[str, MeasuredRun], dataset: Dataset) -> Iterator[Row]:
    """The runs as rows of a report, with losses and, where the data are theirs, pictures."""
    for name, run in runs.items():
        yield Row(
            experiment=comparison.NAME,
            variant="",
            model=name,
            config=run.config,
            seed=run.config.get("seed"),
            data=run.data,
            metrics=run.metrics,
            seconds=sum(row.seconds for row in run.rows),
            history=_losses(run),
            pictures=_pictures(run.path / CHECKPOINTS, dataset),
        )


def _losses(run: MeasuredRun) -> dict[str, list[float]] | None:
    names = ("epoch", *_LOSSES)
    whole = [line for line in run.scalars if all(line.get(name) is not None for name in names)]
    return {name: [line[name] for line in whole] for name in names} if whole else None


def _pictures(folder: Path, dataset: Dataset) -> dict[str, Any] | None:
    try:
        if read_info(folder).data_digest != dataset.digest:
            return None
        images = dataset.test_images[:_SHOWN]
        reconstructed = np.asarray(load(folder).reconstruct(to_unit_float(images)))
    except ValueError as error:
        console.print(f"no pictures: {error}")
        return None
    return {
        "originals": encode_images(images),
        "reconstructions": encode_images((255 * reconstructed).round().astype(np.uint8)),
    }


def _print_beside(
    title: str, values: Mapping[str, Mapping[str, Any]], names: Iterable[str]
) -> None:
    """A line for each of the names, a column for each run."""
    lines = [[name, *(str(facts.get(name, "")) for facts in values.values())] for name in names]
    _print_table(title, ["", *values], lines)


def _printed(metrics: Mapping[str, float]) -> dict[str, str]:
    """The metrics as the report prints them, under its headings."""
    return {
        column.heading: column.format(Summary(metrics[column.metric], None, 1))
        for column in columns_of([metrics])
    }


def _print_table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in header:
        table.add_column(name, overflow="fold")
    for line in lines:
        table.add_row(*line)
    console.print(table)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def main(args: list[str] | None = None) -> None:
    """Parses the command line, and lists, shows or compares."""
    with cli.one_line_errors():
        options = cli.parse(List | Show | Compare, args)
        if isinstance(options, List):
            show_list(options)
        elif isinstance(options, Show):
            show_run(options)
        else:
            show_comparison(options)


if __name__ == "__main__":
    main()
