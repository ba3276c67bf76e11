"""The options of every experiment: which data, which preset, which fields."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments.study.budget import PRESETS
from experiments.study.options import StudyOptions


def test_results_on_other_data_are_not_taken_for_these(tmp_path):
    embedded = StudyOptions(preset="tiny", data="embedded", out=tmp_path / "out")
    embedded.study().results.describe()
    assert embedded.study().results.environment["data_digest"]
    with pytest.raises(ValueError, match="out holds results on other data"):
        dataclasses.replace(embedded, preset="quick").study()


def test_a_file_of_fields_reaches_every_model_of_a_table(tmp_path):
    (tmp_path / "conv.json").write_text('{"body": "conv", "widths": [8, 16], "beta": 0.01}')
    options = StudyOptions(
        preset="tiny", data="embedded", out=tmp_path, config=tmp_path / "conv.json"
    )
    config = options.study().config(k=4, seed=3)
    assert (config.body, config.widths, config.beta) == ("conv", (8, 16), 0.01)
    assert (config.k, config.seed, config.epochs) == (4, 3, PRESETS["tiny"].training.epochs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": (0, 0)}, "seeds must be distinct"),
        ({"seeds": ()}, "seeds must be distinct"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"data": "nowhere"}, "nowhere"),
        ({"config": Path(__file__)}, "config file .*test_options.py: "),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        StudyOptions(preset="tiny", out=tmp_path, **{"data": "embedded"} | options).study()


def test_data_without_labels_are_said_to_have_none(tmp_path, capsys):
    np.save(tmp_path / "mine.npy", np.zeros((40, 8, 8), np.uint8))
    study = StudyOptions(preset="tiny", data=str(tmp_path / "mine.npy"), out=tmp_path).study()
    assert not study.has_labels
    said = " ".join(capsys.readouterr().out.split())
    assert "there are no labels, so what the digit classifier and the linear probe measure" in said
