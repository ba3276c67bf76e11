"""The report of a results file, section by section."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.records.grouping import by_model, by_variant
from experiments.records.rows import Results, Row, current_rows, read_results, results_path
from experiments.reporting.claims import claims, claims_table
from experiments.reporting.definitions import define
from experiments.reporting.document import Bullets, Section, write_document
from experiments.reporting.figures.draw import draw_pictures
from experiments.reporting.figures.strips import (
    draw_latents,
    draw_noise,
    draw_reconstructions,
    draw_samples,
)
from experiments.reporting.figures.training_curves import draw_importance, draw_losses
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import (
    Column,
    Table,
    difference_table,
    differences,
    measured,
    metric_table,
)
from experiments.study.lineup import BASELINE
from vae_topk_jax.runs.progress import console

TITLE = "Batch Top-K VAE: reproduction report"
# Of an experiment without a layout.
PLAIN = "Metrics under the names that they have in the results file."
FIGURES = (
    draw_reconstructions,
    draw_samples,
    draw_noise,
    draw_latents,
    draw_importance,
    draw_losses,
)


def write_report(
    results: str | os.PathLike[str],
    layouts: Sequence[Experiment],
    out: str | os.PathLike[str] | None = None,
) -> tuple[Path, Path]:
    """Writes `report.md` with its `figures/`, and the self-contained `report.html`.

    Prints where they are.

    Args:
        results: the results file, or the directory that holds it.
        layouts: how the experiments are shown, in reading order; of any other that has rows, every
            metric stands under the name that it has there.
        out: the directory to write to; that of the results if None.

    Returns:
        The paths of both reports.
    """
    folder = results_path(results).parent if out is None else Path(out)
    sections = list(compose(read_results(results), layouts))
    markdown, page = write_document(TITLE, sections, folder)
    console.print(f"report: {markdown}, {page}")
    return markdown, page


def compose(results: Results, layouts: Sequence[Experiment]) -> Iterator[Section]:
    """The sections in reading order; an experiment without rows has none."""
    rows = current_rows(results.rows)
    yield Section("What was run", [Bullets(list(_run(results, rows)))])
    yield Section("Definitions", [Bullets(list(_definitions(results.environment, rows)))])
    shown = [
        (experiment, inside)
        for experiment in (*layouts, *_others(rows, layouts))
        if (inside := [row for row in rows if row.experiment == experiment.name])
    ]
    for experiment, inside in shown:
        yield Section(experiment.title, list(_tables(experiment, inside)))
    if findings := claims(rows):
        yield Section("The paper's claims", [claims_table(findings)])
    for experiment, inside in shown:
        pictures = [
            picture._replace(
                caption=f"{variant}: {picture.caption}" if variant else picture.caption
            )
            for variant, same in by_variant(inside).items()
            for picture in draw_pictures(experiment, same)
        ]
        if pictures:
            yield Section(f"Pictures: {experiment.title.partition(':')[0]}", pictures)
    yield Section(
        "Settings", [Bullets(list(dict.fromkeys(_settings(row) for row in rows if row.config)))]
    )


def _run(results: Results, rows: Sequence[Row]) -> Iterator[str]:
    for name in dict.fromkeys(row.experiment for row in rows):
        inside = [row for row in rows if row.experiment == name]
        variants = " and ".join(filter(None, by_variant(inside)))
        yield f"{name}{f', {variants}' if variants else ''}: {'; '.join(by_model(inside))}."
    for data in dict.fromkeys(json.dumps(dict(row.data), sort_keys=True) for row in rows):
        values = json.loads(data)
        yield (
            f"Data: {values['source']}, {values['train']:,} training and "
            f"{values['test']:,} test images."
        )
    seeds = sorted({row.seed for row in rows if row.seed is not None})
    yield f"Seeds: {', '.join(map(str, seeds)) or 'none'}." + (
        " A value after ± is the half-width of the 95 % Student-t interval over the seeds; "
        "intervals are not corrected for the number of comparisons."
        if len(seeds) > 1
        else ""
    )
    minutes = sum(row.seconds for row in rows) / 60
    yield f"Training and measuring took {minutes:,.1f} minutes in all."
    if left_out := len(results.rows) - len(rows):
        yield f"Rows left out, superseded by later ones with other settings: {left_out}."
    environment = dict(results.environment)
    earlier = environment.pop("earlier", [])
    yield f"Environment: {_listed(environment)}."
    for changed in earlier:
        yield f"Some rows were measured under {_listed(changed)} instead."


def _definitions(environment: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    metrics = {metric for row in rows for metric in row.metrics}
    samples = next((row.config["samples"] for row in rows if "samples" in row.config), None)
    test = max((row.data["test"] for row in rows), default=0)
    probe = environment.get("probe_accuracy") or next(
        (row.metrics["probe_accuracy"] for row in rows if "probe_accuracy" in row.metrics), None
    )
    yield from define(
        metrics,
        samples=f", {samples:,} images against {test:,} test images" if samples else "",
        probe=f" ({100 * probe:.2f} % of the clean test images)" if probe else "",
    )
    yield "Bold in a table of values: the best of the trained autoencoders."
    yield "Bold in a table of differences: the interval leaves out zero."


def _tables(experiment: Experiment, rows: Sequence[Row]) -> Iterator[str | Table]:
    if experiment.intro:
        yield experiment.intro
    for variant, inside in by_variant(rows).items():
        for name, columns in experiment.tables.items():
            title = ": ".join(filter(None, (variant, name))) or experiment.title
            if grid := measured(inside, columns):
                yield metric_table(title, grid, columns)
            grid = differences(inside, columns)
            if any(summary.n > 1 for cells in grid.values() for summary in cells.values()):
                yield difference_table(f"{title}, difference to {BASELINE}", grid, columns)
    if experiment.paper:
        yield metric_table("The paper", *experiment.paper)


def _others(rows: Iterable[Row], layouts: Sequence[Experiment]) -> Iterator[Experiment]:
    """A plain layout of each experiment that has none: every metric as it is named."""
    metrics: dict[str, dict[str, None]] = {}
    for row in rows:
        metrics.setdefault(row.experiment, {}).update(dict.fromkeys(row.metrics))
    known = {layout.name for layout in layouts}
    for name, own in metrics.items():
        if name not in known:
            columns = [Column(metric, metric, 4) for metric in own]
            yield Experiment(name, name, PLAIN, columns, figures=FIGURES)


def _settings(row: Row) -> str:
    settings = ", ".join(f"{k}={v}" for k, v in row.config.items() if k != "seed")
    return f"{'; '.join(filter(None, (row.experiment, row.variant, row.model)))}: {settings}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
