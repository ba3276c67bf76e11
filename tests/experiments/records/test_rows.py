"""The results file: strict, atomic, resumable."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.records.environment import environment
from experiments.records.pictures import encode_images
from experiments.records.rows import (
    ADDED,
    Place,
    ResultsFile,
    Row,
    current_rows,
    read_results,
    row_key,
    write_results,
)
from vae_topk_jax.config import Config, fields_for

COMMITTED = Path(__file__).parents[3] / "experiments" / "results"


def make_row(**changes):
    fields: dict[str, Any] = {
        "experiment": "table1",
        "variant": "averaged KL",
        "model": "beta-VAE",
        "config": {"beta": 1e-3, "widths": [512, 256]},
        "seed": 0,
        "data": {"source": "synthetic", "train": 64, "test": 16},
        "metrics": {"psnr": 24.5},
        "seconds": 1.5,
    }
    return Row(**fields | changes)


@pytest.mark.parametrize(
    "row",
    [
        make_row(),
        make_row(seed=None),
        make_row(
            history={"epoch": [1], "loss": [0.5]},
            pictures={"originals": encode_images(np.zeros((2, 4, 4, 1), np.uint8))},
        ),
    ],
)
def test_rows_survive_the_file(tmp_path, row):
    path = write_results(tmp_path, [row])
    assert read_results(tmp_path).rows == [row]
    assert read_results(path).environment == environment()


def test_numpy_values_become_plain_json(tmp_path):
    row = make_row(metrics={"psnr": np.float32(0.5)}, history={"loss": np.arange(3.0)})
    write_results(tmp_path, [row])
    (read,) = read_results(tmp_path).rows
    assert read.metrics == {"psnr": 0.5}
    assert read.history == {"loss": [0.0, 1.0, 2.0]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_hold_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match=r"table1/averaged KL/beta-VAE/seed 0: metric ssim is"):
        write_results(tmp_path, [make_row(metrics={"psnr": 1.0, "ssim": value})])
    with pytest.raises(ValueError, match=r"beta-VAE/seed 0.*JSON"):
        write_results(tmp_path, [make_row(history={"loss": [value]})])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"rows": []}',
        "[]",
        '{"environment": {}, "rows": [',
        '{"environment": {}, "rows": [{"seed": 1}]}',
        '{"environment": {"accuracy": NaN}, "rows": []}',
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="damaged results file") as caught:
        read_results(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results file at"):
        read_results(tmp_path)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    write_results(tmp_path, [make_row()])

    def crash(*_):
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        write_results(tmp_path, [make_row(seed=1)])
    assert read_results(tmp_path).rows == [make_row()]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_run_resumes_where_it_stopped(tmp_path):
    file = ResultsFile(tmp_path)
    file.describe(probe_accuracy=0.99)
    file.add(make_row())
    resumed = ResultsFile(tmp_path)
    assert resumed.has(make_row().key)
    assert not resumed.has(make_row(seed=1).key)
    assert not resumed.has(make_row(config={"beta": 1.0}).key)
    resumed.merge([make_row(seconds=2.0), make_row(seed=1)])
    environment_read, rows = read_results(tmp_path)
    assert rows == resumed.rows == [make_row(seconds=2.0), make_row(seed=1)]
    assert environment_read == environment() | {"probe_accuracy": 0.99}


def test_a_row_read_back_has_the_key_that_it_was_asked_for_with(tmp_path):
    config = Config(widths=(16, 8), beta=1).to_dict() | {"samples": np.int64(7), "mixture": (1, 2)}
    asked = row_key(make_row().place, config)
    ResultsFile(tmp_path).add(make_row(config=config))
    assert ResultsFile(tmp_path).has(asked)
    (read,) = read_results(tmp_path).rows
    assert read.key == asked


def test_a_replaced_row_leaves_the_other_places_alone(tmp_path):
    file = ResultsFile(tmp_path)
    others = [make_row(seed=1), make_row(variant="summed KL"), make_row(model="Top-K")]
    file.merge([make_row(), make_row(config={"beta": 1.0}), *others])
    file.replace(make_row(config={"beta": 2.0}))
    assert file.rows == [*others, make_row(config={"beta": 2.0})]


def test_resuming_on_another_machine_is_recorded(tmp_path):
    write_results(tmp_path, [make_row()], environment() | {"cpu": "another"})
    for _ in range(2):
        ResultsFile(tmp_path).add(make_row(seed=1))
    assert read_results(tmp_path).environment["earlier"] == [{"cpu": "another"}]


def test_the_key_does_not_depend_on_the_order_or_type_of_settings():
    place = Place("e", "v", "m", 0)
    key = row_key(place, {"k": 8, "beta": 1.0, "nested": True, "widths": (512, 256)})
    assert key == row_key(
        place, {"widths": [512, 256], "k": np.int64(8), "nested": True, "beta": 1}
    )
    assert key != row_key(place, {"widths": [512, 256], "k": 4, "nested": True, "beta": 1})
    assert key != row_key(place, {"widths": [512, 256], "k": 8, "nested": 1, "beta": 1})


def test_a_field_that_was_added_since_leaves_the_keys_of_older_rows(tmp_path):
    place, config = Place("e", "v", "m", 0), Config("vae").to_dict()
    older = {name: value for name, value in config.items() if name != "standardize"}
    assert row_key(place, older) == row_key(place, config)
    assert row_key(place, older) != row_key(place, config | {"standardize": "mean"})


def test_current_rows_are_those_with_the_latest_settings():
    old = [make_row(seed=seed) for seed in (0, 1)]
    new = make_row(config={"beta": 1.0, "seed": 0})
    other = make_row(model="Top-K, default")
    assert current_rows([*old, other, new]) == [other, new]


def test_the_environment_names_neither_host_nor_user():
    software = {"vae_topk_jax", "git_commit", "python", "jax", "flax", "optax", "numpy"}
    hardware = {"platform", "cpu", "cpu_count", "device_kind", "device_count"}
    assert set(environment()) <= software | hardware


@pytest.mark.parametrize(
    "file", sorted(COMMITTED.glob("*/results.json")), ids=lambda file: file.parent.name
)
def test_committed_rows_are_found_though_fields_were_added_since(file):
    for row in read_results(file).rows:
        fields = set(fields_for(row.config.get("model"))) if "model" in row.config else set()
        own = {*row.config, *(["widths"] if row.experiment == "synth" else [])}  # has no body
        assert not fields - own - {name for name, _ in ADDED}
