"""A report says which images its figures are from."""

import dataclasses

from experiments.records.rows import Results
from experiments.reporting.compose import compose
from experiments.reporting.splits import describe_splits
from tests.helpers.report_rows import other, rows_of, stability

HELD_OUT = {"source": "synthetic", "train": 60, "test": 4, "measured": "validation"}


def test_rows_that_were_held_out_of_training_are_told_from_those_of_the_test_images():
    tested = rows_of(stability, seeds=[0])
    held_out = [dataclasses.replace(row, data=HELD_OUT) for row in rows_of(other, seeds=[0])]
    both = [
        "Measured on 16 test images: Top-K by element.",
        "Measured on 4 training images that were held out by seed: Top-K, K=4.",
    ]
    assert not list(describe_splits(tested))
    assert list(describe_splits([*tested, *held_out])) == both
    assert list(describe_splits(held_out)) == [both[1].replace(": Top-K, K=4", "")]

    text = str(compose(Results({}, [*tested, *held_out]), []))
    assert "Data: synthetic, 60 training and 4 validation images." in text
    assert text.count("Measured on") == 1
