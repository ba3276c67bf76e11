"""Stitching: the path, its errors against the stitched autoencoder itself, and the experiment."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments import stitch
from experiments.records.rows import ResultsFile
from experiments.reporting.compose import write_report
from experiments.study.budget import PRESETS, Passes
from experiments.study.study import Study
from vae_topk_jax.metrics.stitching import (
    Side,
    Step,
    cosines,
    insertion_effects,
    path_errors,
    stitching_path,
    sweep,
)
from vae_topk_jax.runs.inputs import load_inputs

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("quick_compile")]

N, F, SMALL, LARGE = 40, 6, 5, 9


@pytest.fixture
def sides() -> tuple[np.ndarray, Side, Side]:
    """Inputs, and two dictionaries of which four directions are nearly the same."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(LARGE, F))
    near = directions[:4] + 0.05 * rng.normal(size=(4, F))
    small, large = (
        Side(np.maximum(rng.normal(size=(N, len(d))), 0), d, rng.normal(size=F))
        for d in (np.concatenate([near, rng.normal(size=(SMALL - 4, F))]), directions)
    )
    return rng.normal(size=(N, F)), small, large


def stitched(small: Side, large: Side, steps: list[Step], share: float) -> np.ndarray:
    """The outputs of the stitched autoencoder, built from its parts."""
    kept = set(range(len(small.directions_DxF))) - {i for step in steps for i in step.removed}
    added = {i for step in steps for i in step.added}
    bias = (1 - share) * small.bias_F + share * large.bias_F
    out = np.tile(bias, (N, 1))
    for side, latents in ((small, kept), (large, added)):
        for latent in latents:
            out += np.outer(side.codes_NxD[:, latent], side.directions_DxF[latent])
    return out


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.95, 1.0])
def test_the_path_leads_from_the_small_one_to_the_large_one(sides, threshold):
    x, small, large = sides
    path = stitching_path(cosines(small.directions_DxF, large.directions_DxF), threshold)
    assert sorted(i for step in path for i in step.added) == list(range(LARGE))
    assert sorted(i for step in path for i in step.removed) == list(range(SMALL))
    order = ["insert", "swap", "drop"]
    assert [order.index(step.kind) for step in path] == sorted(
        order.index(step.kind) for step in path
    )
    errors = path_errors(x, small, large, path)
    expected = [
        np.square(x - stitched(small, large, path[:t], t / len(path))).mean()
        for t in range(len(path) + 1)
    ]
    np.testing.assert_allclose(errors, expected, rtol=1e-10)
    np.testing.assert_allclose(errors[0], np.square(x - small.reconstructions_NxF).mean())
    np.testing.assert_allclose(errors[-1], np.square(x - large.reconstructions_NxF).mean())


def test_a_latent_is_novel_below_the_threshold_and_linked_at_it():
    cosine_SxL = np.array([[0.9, 0.7, 0.0, 0.1], [0.0, 0.7, 0.8, 0.69], [0.2, 0.0, 0.0, 0.6]])
    path = stitching_path(cosine_SxL, 0.7)
    assert path == [
        Step("insert", [3], []),
        Step("swap", [0, 1, 2], [0, 1]),
        Step("drop", [], [2]),
    ]
    kinds = [step.kind for step in stitching_path(cosine_SxL, 0.75)]
    assert kinds == ["insert", "insert", "swap", "swap", "drop"]
    assert [step.added for step in stitching_path(cosine_SxL, 0.75)[:2]] == [[3], [1]]


def test_an_insertion_changes_the_error_as_the_stitched_one_says(sides):
    x, small, large = sides
    before = np.square(x - small.reconstructions_NxF).mean()
    expected = [
        np.square(x - stitched(small, large, [Step("insert", [i], [])], 0.0)).mean() - before
        for i in range(LARGE)
    ]
    np.testing.assert_allclose(insertion_effects(x, small, large), expected, rtol=1e-8)


def test_the_sweep_counts_what_the_path_does(sides):
    x, small, large = sides
    low, high = sweep(x, small, large, [0.5, 1.0])
    assert (high.novel, high.swaps) == (LARGE, 0)
    assert low.novel < high.novel
    effects = insertion_effects(x, small, large)
    np.testing.assert_allclose(high.helping, np.mean(effects < 0))
    assert high.harming == 0.0
    inserted = [Step("insert", [i], []) for i in range(LARGE)]
    share = LARGE / (LARGE + SMALL)
    error = np.square(x - stitched(small, large, inserted, share)).mean()
    np.testing.assert_allclose(high.error, error)


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_threshold_that_is_no_cosine_is_named(threshold):
    with pytest.raises(ValueError, match=f"threshold must be a cosine in .0, 1., got {threshold}"):
        stitching_path(np.ones((2, 2)), threshold)


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
    stitch.run(study, inputs, sizes)
    measured = len(results.rows)
    stitch.run(study, inputs, sizes)
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
