"""Both tables of the paper, the stability of its masks, and the report.

    python -m experiments.reproduce                    # minutes, one seed
    python -m experiments.reproduce --preset paper     # five seeds, three hours on two CPU cores

Leaves results.json, report.md and report.html in runs/PRESET (or --out). What to expect stands in
`table1` and `table2`. An interrupted run picks up where it stopped.
"""

from pathlib import Path

from experiments import table1, table2
from experiments.measures import stability
from experiments.measures.robustness import Classifier
from experiments.reporting.compose import write_report
from experiments.study.options import StudyOptions
from experiments.terminal import cli


def main(
    options: StudyOptions,
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
    table1.run(study, inception_weights)
    table2.run(study, clip_noise, classifier)
    write_report(options.folder, [table1.LAYOUT, table2.LAYOUT, stability.LAYOUT])


if __name__ == "__main__":
    cli.run(main)
