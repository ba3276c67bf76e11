"""A report says which images its figures are from."""

import dataclasses

from experiments.records.rows import write_results
from experiments.report import LAYOUTS
from experiments.reporting.compose import write_report
from experiments.reporting.splits import describe_splits
from tests.helpers.report_rows import ablation, rows_of, table1

HELD_OUT = {"source": "synthetic", "train": 60, "test": 4, "measured": "validation"}


def test_rows_that_were_held_out_of_training_are_told_from_those_of_the_test_images(tmp_path):
    rows = [
        dataclasses.replace(row, data=HELD_OUT) if row.model == "dimension: KL" else row
        for row in rows_of(ablation, table1)
    ]
    mixed = [row for row in rows if row.experiment == "ablation"]
    assert list(describe_splits(mixed)) == [
        "Measured on 16 test images: beta-VAE; element: |mu|.",
        "Measured on 4 training images that were held out by seed: dimension: KL.",
    ]
    write_results(tmp_path, rows, {})
    text = write_report(tmp_path, LAYOUTS)[0].read_text()
    assert "Data: synthetic, 60 training and 4 validation images." in text
    assert "of each held-out image" in text
    assert text.index("## Ablation") < text.index("- Measured on 4 training images")

    alike = [dataclasses.replace(row, data=HELD_OUT) for row in mixed]
    assert list(describe_splits(alike)) == [
        "Measured on 4 training images that were held out by seed."
    ]
    assert not list(describe_splits(rows_of(table1)))
