"""The stitching experiment: both dictionaries, the path between them, the meta-SAE."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments import stitch
from experiments.records.rows import ResultsFile
from experiments.reporting.compose import write_report
from experiments.study.budget import PRESETS, Passes
from experiments.study.study import Study
from vae_topk_jax.runs.inputs import load_inputs

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stitch")


@pytest.fixture(scope="module")
def study(blobs, folder) -> Study:
    budget = dataclasses.replace(PRESETS["tiny"], training=Passes(8))
    results = ResultsFile(folder)
    sizes = stitch.Sizes(small=8, large=24, k=3, meta=4, meta_steps=50)
    study = Study(blobs, budget, results, given={"batch_size": 64, "learning_rate": 1e-2})
    inputs = load_inputs("pixels", blobs)
    study.measure(stitch.rows(study, inputs, sizes))
    measured = len(results.rows)
    study.measure(stitch.rows(study, inputs, sizes))
    assert len(results.rows) == measured == 4
    return study


def test_the_experiment_measures_both_dictionaries_the_way_between_and_the_meta_sae(study):
    rows = {row.model: row for row in study.results.rows}
    small, large = (rows[f"SAE, {n} latents"].metrics for n in (8, 24))
    assert large["explained_variance"] > small["explained_variance"] > 0.3
    stitched = rows["8 stitched to 24"]
    assert {
        column.metric for column in stitch.LAYOUT.further["stitched"]
    } == stitched.metrics.keys()
    np.testing.assert_allclose(stitched.metrics["error_small"], small["error"], rtol=1e-3)
    np.testing.assert_allclose(stitched.metrics["error_large"], large["error"], rtol=1e-3)
    steps = len(stitched.history["path_kind"])
    assert len(stitched.history["path_error"]) == steps + 1
    meta = rows["meta-SAE, 4 meta-latents"].metrics
    assert {column.metric for column in stitch.LAYOUT.columns} <= meta.keys()
    assert 0 < meta["explained_variance"] < 1


def test_the_report_shows_them(study, folder):
    markdown, _ = write_report(folder, [stitch.LAYOUT])
    assert "| 8 stitched to 24 |" in markdown.read_text(encoding="utf-8")
    assert (folder / "figures" / "stitch-pixels-8-stitched-to-24.png").stat().st_size > 10_000
