"""A row is measured once; the row of a trained model has its settings; a run goes on."""

import dataclasses
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.records.rows import Place, ResultsFile, Row, read_results
from experiments.study.budget import PRESETS
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from tests.helpers.runs import SMALL
from vae_topk_jax.config import Config


@pytest.fixture
def study(blobs, tmp_path, monkeypatch) -> Study:
    """Its models are not trained."""
    inference: Any = types.SimpleNamespace()

    def train(self: Study, config: Config) -> Trained:
        return Trained(inference, {"epoch": [1]}, seconds=1.234, seconds_epoch=None)

    monkeypatch.setattr(Study, "train", train)
    return Study(blobs, PRESETS["tiny"], ResultsFile(tmp_path))


def plan(study: Study, k: int, measure: Callable[[], Measurement]) -> Planned:
    return study.plan(Place("table1", "averaged KL", "beta-VAE", 0), {"k": k}, measure)


def test_the_row_of_a_trained_model_has_its_settings_and_the_time_of_training(study):
    def measure(trained: Trained) -> Measurement:
        return Measurement({"psnr": 20.0}, None, trained.history)

    config = study.config(model="beta_vae", seed=0)
    planned = study.plan_trained("table1", "averaged KL", "beta-VAE", config, measure, samples=7)
    study.measure([planned])
    (row,) = study.results.rows
    assert row.key == planned.key
    assert row.config == config.to_dict() | {"samples": 7, "test_latent": "mean"}
    assert row.metrics == {"psnr": 20.0, "seconds_training": 1.23}
    assert row.history == {"epoch": [1]}
    assert row.seed == 0


def test_what_makes_a_row_is_preferred_to_what_was_given_and_that_to_a_tables_own(study):
    given = dataclasses.replace(study, given={"beta": 0.5, "learning_rate": 0.25})
    config = given.config({"beta": 0.1, "body": "residual"}, learning_rate=0.125)
    assert (config.beta, config.body, config.learning_rate) == (0.5, "residual", 0.125)
    assert config.epochs == PRESETS["tiny"].training.epochs


def test_an_interrupted_run_keeps_its_rows_and_goes_on_with_the_others(study, tmp_path, capsys):
    calls = []

    def measure() -> Measurement:
        calls.append(1)
        return Measurement({"psnr": 1.5}, {"originals": np.zeros((2, 4, 4, 1))})

    def interrupt() -> Measurement:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        study.measure([plan(study, 2, measure), plan(study, 3, interrupt)])
    assert stop.value.code == 130
    assert "1 of 2 rows" in capsys.readouterr().err

    resumed = dataclasses.replace(study, results=ResultsFile(tmp_path))
    resumed.measure([plan(resumed, 2, measure), plan(resumed, 3, measure)])
    assert len(calls) == 2
    output = capsys.readouterr().out
    assert "1 of 2 rows are in" in output
    assert "row 2 of 2: " in output
    assert "row 1 of 2: " not in output

    first, second = read_results(tmp_path).rows
    assert first.data == {"source": "synthetic spots", "train": 512, "test": 128}
    assert (first.config["k"], second.config["k"]) == (2, 3)
    assert first.config["test_latent"] == "mean"


@pytest.mark.long
def test_seeds_trained_together_have_the_rows_of_seeds_trained_alone(blobs, tmp_path):
    seconds = []

    def measure(trained: Trained) -> Measurement:
        seconds.append(trained.seconds)
        active = len(trained.inference.active_dims)
        return Measurement({"active": active}, None, trained.history)

    def measured(folder: Path, together: bool) -> Sequence[Row]:
        study = Study(blobs, PRESETS["tiny"], ResultsFile(folder), together=together)
        configs = [SMALL.replace(epochs=1, seed=seed) for seed in (0, 1)]
        study.measure(
            study.plan_trained("table1", "", "Top-K", config, measure) for config in configs
        )
        return study.results.rows

    alone, both = (measured(tmp_path / str(flag), flag) for flag in (False, True))
    assert [row.key for row in alone] == [row.key for row in both]
    assert [row.history for row in alone] == [row.history for row in both]
    assert (len(seconds), seconds[2]) == (4, seconds[3])  # a share each
    assert measured(tmp_path / "True", together=True) == both
    assert len(seconds) == 4
