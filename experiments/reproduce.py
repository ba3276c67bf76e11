"""Both tables of the paper, the stability of its masks, and the report.

    python -m experiments.reproduce                    # five minutes, one seed, the main rows
    python -m experiments.reproduce --preset paper     # five seeds, three hours on two CPU cores

Leaves results.json, report.md and report.html in runs/PRESET (or --out). What to expect stands in
`table1` and `table2`. An interrupted run goes on where it stopped.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from experiments import table1, table2
from experiments.measures import stability
from experiments.measures.robustness import Classifier
from experiments.reporting.compose import write_report
from experiments.reporting.terminal import summary
from experiments.study.budget import PRESETS
from experiments.study.left_out import left_out
from experiments.study.options import StudyFlags
from experiments.study.planned import Planned
from experiments.study.study import Study
from experiments.terminal import cli
from vae_topk_jax.runs.progress import console

FULL = "paper"  # the preset that leaves nothing out


def rows(
    study: Study,
    inception_weights: Path | None = None,
    clip_noise: bool = True,
    classifier: Classifier = "clean",
) -> Iterator[Planned]:
    """Every row of both tables."""
    yield from table1.rows(study, inception_weights)
    yield from table2.rows(study, clip_noise, classifier)


def main(
    options: StudyFlags,
    inception_weights: Path | None = None,
    clip_noise: bool = True,
    classifier: Classifier = "clean",
) -> None:
    """Table 1, Table 2, the stability of the masks, and the report.

    Args:
        options: preset, data and output.
        inception_weights: a local file of torch-fidelity's Inception weights: adds the Inception
            FID to Table 1 (extra "inception").
        clip_noise: clip noisy images to [0, 1], in training and in the test.
        classifier: what the classifier of Table 2 was trained on: clean images, or each model's
            reconstructions of them.
    """
    study = options.study()
    planned = list(rows(study, inception_weights, clip_noise, classifier))
    full = dataclasses.replace(study, budget=PRESETS[FULL])
    study.results.describe(
        preset=options.preset,
        left_out=left_out(planned, study.budget, rows(full), full.budget),
        everything=f"python -m experiments.reproduce --preset {FULL}",
    )
    study.measure(planned)
    console.print(summary(study.results.rows, [table1.LAYOUT, table2.LAYOUT]))
    write_report(options.folder, [table1.LAYOUT, table2.LAYOUT, stability.LAYOUT])


if __name__ == "__main__":
    cli.run(main)
