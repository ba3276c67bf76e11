"""The study of known factors: its rows, what is measured, its report."""

import json

import numpy as np
import pytest

from experiments.factors.__main__ import main
from experiments.factors.layout import SCORES
from experiments.factors.lineup import models
from experiments.factors.measure import Known, measure_codes
from experiments.factors.presets import PRESETS
from experiments.factors.rows import rows
from experiments.records.rows import RESULTS_NAME, ResultsFile, read_results
from experiments.study.study import Study
from vae_topk_jax.data import DataOptions, Dataset, load_dataset

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def sprites() -> Dataset:
    return load_dataset(TINY.data, DataOptions(test_fraction=TINY.test_fraction))


def test_rows_come_seed_by_seed_each_with_settings_of_its_own(sprites, tmp_path):
    preset = PRESETS["small"]._replace(seeds=(0, 1))
    study = Study(sprites, preset.budget, ResultsFile(tmp_path))
    planned = list(rows(study, preset, "sprites"))
    titles = [*models(preset), "PCA, 3 components", "untrained encoder"]
    assert [(row.place.model, row.place.seed) for row in planned] == [
        (title, seed) for seed in (0, 1) for title in titles
    ]
    assert len({row.key for row in planned}) == len(planned)
    trained = [row.config for row in planned if "model" in row.config]
    assert {config["batch_size"] for config in trained} == {64}
    assert {config.get("pixel_reduction", "sum") for config in trained} == {"sum"}
    assert len(list(rows(study, preset, "sprites", only="Top-K"))) == 12


def test_the_presets_train_their_steps(sprites, tmp_path):
    study = Study(sprites, TINY.budget, ResultsFile(tmp_path))
    (planned, *_) = rows(study, TINY, "sprites")
    assert planned.config["epochs"] * (len(sprites.train_images) // TINY.batch_size) == TINY.steps


def test_codes_that_are_the_factors_are_perfect(sprites):
    known = Known.of(sprites)
    assert known.names == ("colour", "scale", "x", "y")
    metrics, _, history = measure_codes(known, known.factors_NxF * 0.5, points=200, seed=0)
    for name in ("mig", "modularity", "factor_vae_score", "beta_vae_score", "dci_disentanglement"):
        assert metrics[name] == pytest.approx(1, abs=0.15), name
    np.testing.assert_allclose(np.diag(history["information_DxF"]), 1)
    assert metrics["active_latents"] < 4  # a code of 0 is not active
    rng = np.random.default_rng(0)
    noise = measure_codes(known, rng.normal(size=(len(known.images), 4)), points=200, seed=0)
    assert noise.metrics["factor_vae_score"] < metrics["factor_vae_score"]
    assert noise.metrics["dci_informativeness"] < metrics["dci_informativeness"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": (0, 0)}, "seeds must be distinct and at least 0"),
        ({"only": "GAN"}, "only must be part of the title of a row, got 'GAN'"),
        ({"data": "sprites:shape=1,colour=1,scale=1,rotation=1,x=4,y=1"}, "two factors that vary"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main("tiny", out=tmp_path, **options)


def test_images_without_factors_are_refused(blobs):
    with pytest.raises(ValueError, match="data must have known factors, got"):
        Known.of(blobs)


@pytest.mark.long
def test_the_references_need_no_training(sprites, tmp_path):
    study = Study(sprites, TINY.budget, ResultsFile(tmp_path))
    for title in ("PCA", "untrained"):
        study.measure(rows(study, TINY, "sprites", only=title))
    pca, untrained = read_results(tmp_path).rows
    assert pca.metrics["psnr"] > 10
    assert "psnr" not in untrained.metrics
    assert pca.metrics.keys() - untrained.metrics.keys() >= {"psnr", "ssim"}
    assert {"traversals", "originals", "reconstructions"} == pca.pictures.keys()


@pytest.mark.long
def test_the_tiny_study_is_measured_once_and_reported(tmp_path):
    main("tiny", out=tmp_path, only="FactorVAE")
    (found,) = read_results(tmp_path).rows
    assert found.model == "FactorVAE, beta 0.1, weight 5"
    assert found.data["test"] == 32
    assert all(0 <= found.metrics[column.metric] <= 1 for column in SCORES)
    first = (tmp_path / RESULTS_NAME).read_text(encoding="utf-8")
    main("tiny", out=tmp_path, only="FactorVAE")
    again = (tmp_path / RESULTS_NAME).read_text(encoding="utf-8")
    assert json.loads(again)["rows"] == json.loads(first)["rows"]
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "Known factors" in report
    assert "information.png" in report
    assert "traversals-factorvae-beta-0.1-weight-5.png" in report
