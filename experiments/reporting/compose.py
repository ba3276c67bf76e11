"""The report of a results file, section by section."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.records.grouping import by_model, by_variant
from experiments.records.rows import Results, Row, current_rows, read_results, results_path
from experiments.reporting.answer import Shown, answer
from experiments.reporting.claims import VERDICTS, claims, claims_table
from experiments.reporting.definitions import define
from experiments.reporting.document import (
    Block,
    Bullets,
    Document,
    Fold,
    Gallery,
    Link,
    Section,
    write_document,
)
from experiments.reporting.figures.draw import draw_pictures
from experiments.reporting.galleries import gallery_links
from experiments.reporting.layout import Experiment
from experiments.reporting.plain import plain_layouts
from experiments.reporting.protocol import banner
from experiments.reporting.settings import describe_settings
from experiments.reporting.splits import describe_splits, split_of_all
from experiments.reporting.tables import (
    Table,
    difference_table,
    differences,
    measured,
    metric_table,
)
from experiments.study.lineup import BASELINE
from vae_topk_jax.runs.progress import console

TITLE = "Batch Top-K VAE: {}"
_LONG = 60  # cells; a table of more is folded


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
    found = read_results(results)
    links = list(gallery_links(results_path(results).parent, current_rows(found.rows), folder))
    document = compose(found, layouts, links)
    markdown, page = write_document(document, folder)
    console.print(f"report: {markdown}, {page}")
    return markdown, page


def compose(
    results: Results, layouts: Sequence[Experiment], galleries: Sequence[Link] = ()
) -> Document:
    """The document: what was run, the answer, every experiment that has rows, the galleries of
    their models, and the details."""
    rows = current_rows(results.rows)
    shown = [
        (experiment, inside)
        for experiment in (*layouts, *plain_layouts(rows, layouts))
        if (inside := [row for row in rows if row.experiment == experiment.name])
    ]
    return Document(
        _title(shown),
        banner(shown, results.environment),
        list(_sections(results, rows, shown, galleries)),
    )


def _title(shown: Shown) -> str:
    experiments = [experiment for experiment, _ in shown]
    if any(experiment.paper for experiment in experiments):
        return TITLE.format("reproduction report")
    return experiments[0].title if len(experiments) == 1 else TITLE.format("report")


def _sections(
    results: Results, rows: Sequence[Row], shown: Shown, galleries: Sequence[Link]
) -> Iterator[Section]:
    if blocks := list(answer(shown)):
        yield Section("The answer", blocks)
    if findings := claims(rows):
        several_seeds = any(finding.difference.n > 1 for finding in findings)
        table = claims_table(findings)
        yield Section("The paper's claims", [VERDICTS, table] if several_seeds else [table])
    for experiment, inside in shown:
        yield Section(experiment.title, list(_experiment(experiment, inside)))
    if galleries:
        yield Section("Galleries", galleries)
    yield Section("Details", list(_details(results, rows, shown)))


def _experiment(experiment: Experiment, rows: Sequence[Row]) -> Iterator[Block]:
    if experiment.intro:
        yield experiment.intro
    if lines := list(describe_splits(rows)):
        yield Bullets(lines)
    yield from experiment.opening(rows)
    tables = [*_tables(experiment, rows)]
    yield from (table for table, is_short in tables if is_short)
    pictures = [
        picture._replace(caption=f"{variant}: {picture.caption}" if variant else picture.caption)
        for variant, same in by_variant(rows).items()
        for picture in draw_pictures(experiment, same)
    ]
    if pictures:
        yield Gallery(pictures)
    for table, is_short in tables:
        if not is_short:
            yield Fold(f"Table: {table.title}", [table])


def _tables(experiment: Experiment, rows: Sequence[Row]) -> Iterator[tuple[Table, bool]]:
    """The tables, and whether each is short enough to be shown at once."""
    for variant, inside in by_variant(rows).items():
        for name, columns in experiment.tables.items():
            title = ": ".join(filter(None, (variant, name))) or experiment.title
            if grid := measured(inside, columns):
                table = metric_table(title, grid, columns)
                yield table, len(table.body) * len(table.header) <= _LONG
            grid = differences(inside, columns)
            if any(summary.n > 1 for cells in grid.values() for summary in cells.values()):
                yield difference_table(f"{title}, difference to {BASELINE}", grid, columns), False


def _details(results: Results, rows: Sequence[Row], shown: Shown) -> Iterator[Fold]:
    yield Fold("What was run", [Bullets(list(_run(results, rows)))])
    yield Fold("Definitions", [Bullets(list(_definitions(results.environment, rows)))])
    settings: list[Block] = []
    for experiment, inside in shown:
        if lines := list(describe_settings(inside)):
            settings += [f"{experiment.title}.", Bullets(lines)]
    if settings:
        yield Fold("Settings besides the defaults", settings)


def _run(results: Results, rows: Sequence[Row]) -> Iterator[str]:
    for name in dict.fromkeys(row.experiment for row in rows):
        inside = [row for row in rows if row.experiment == name]
        variants = " and ".join(filter(None, by_variant(inside)))
        yield f"{name}{f', {variants}' if variants else ''}: {'; '.join(by_model(inside))}."
    for data in dict.fromkeys(json.dumps(dict(row.data), sort_keys=True) for row in rows):
        values = json.loads(data)
        yield (
            f"Data: {values['source']}, {values['train']:,} training and "
            f"{values['test']:,} {values.get('measured', 'test')} images."
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
    measured = split_of_all(rows)
    yield from define(
        metrics,
        measured,
        samples=f", {samples:,} images against {test:,} {measured} images" if samples else "",
        probe=f" ({100 * probe:.2f} % of the clean {measured} images)" if probe else "",
    )
    yield "Bold in a table of values: the best of the trained autoencoders."
    yield "Bold in a table of differences: the interval leaves out zero."


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
