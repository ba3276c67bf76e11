"""A row is measured once; the row of a trained model has its settings; a run goes on."""

import dataclasses
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from experiments.records.rows import Place, ResultsFile, read_results
from experiments.study.bar import RowsBar
from experiments.study.budget import PRESETS
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study
from experiments.study.trained import Trained, train_models
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


def test_seeds_of_a_configuration_are_trained_together_where_that_is_wanted(
    blobs, tmp_path, monkeypatch
):
    groups = []

    def train(configs: Sequence[Config], *_: Any) -> dict[Config, Trained]:
        groups.append([(config.model, config.seed) for config in configs])
        return {config: Trained(types.SimpleNamespace(), {}, 1.0, None) for config in configs}

    def measured(folder: str, seeds: Sequence[int], together: bool) -> list[Place]:
        results = ResultsFile(tmp_path / folder)
        study = Study(blobs, PRESETS["tiny"], results, together=together)
        study.measure(
            study.plan_trained(table, "", model, study.config(model=model, seed=seed), measure)
            for seed in seeds
            for model in ("beta_vae", "vae")
            for table in ("table1", "stability")
        )
        return [row.place for row in results.rows]

    def measure(_: Trained) -> Measurement:
        return Measurement({"psnr": 1.0})

    monkeypatch.setattr("experiments.study.study.train_models", train)
    alone = measured("alone", (0, 1), together=False)
    assert groups == [[(model, seed)] for seed in (0, 1) for model in ("beta_vae", "vae")]
    groups.clear()
    assert set(measured("both", (0, 1), together=True)) == set(alone)
    assert groups == [[(model, 0), (model, 1)] for model in ("beta_vae", "vae")]
    groups.clear()
    measured("both", (0, 1, 2, 3), together=True)  # the first two are there already
    assert groups == [[(model, 2), (model, 3)] for model in ("beta_vae", "vae")]


@pytest.mark.long
def test_a_seed_has_the_same_history_among_others(blobs):
    configs = [SMALL.replace(epochs=1, seed=seed) for seed in (0, 1)]
    together = train_models(configs, blobs, RowsBar(), "mean")
    alone = train_models(configs[1:], blobs, RowsBar(), "mean")
    assert alone[configs[1]].history == together[configs[1]].history
    assert len({trained.seconds for trained in together.values()}) == 1  # an equal share
