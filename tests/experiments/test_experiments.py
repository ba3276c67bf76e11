"""The parts that the tables are made of."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import ablation, collapse
from experiments.ablation import variants
from experiments.measures import robustness
from experiments.measures.generation import measure_model
from experiments.measures.stability import jaccard, measure_stability
from experiments.merge import merge
from experiments.records.rows import ResultsFile, Row, read_results
from experiments.study.budget import PRESETS, Passes
from experiments.study.lineup import trained_models
from experiments.study.options import StudyOptions
from experiments.study.pca import PCA
from experiments.study.study import Measurement, Study
from tests.vae_topk_jax.test_training import SMALL
from vae_topk_jax.config import Config
from vae_topk_jax.data import to_unit_float

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture
def study(blobs, tmp_path) -> Study:
    budget = dataclasses.replace(PRESETS["tiny"], training=Passes(1), mixture_codes=512, samples=64)
    return Study(blobs, budget, ResultsFile(tmp_path))


def test_pca_keeps_what_k_components_can(blobs):
    x = to_unit_float(blobs.train_images)
    flat = x.reshape(len(x), -1).astype(np.float64)
    mean = flat.mean(0)
    u, s, vt = np.linalg.svd(flat - mean, full_matrices=False)
    expected = (u[:, :3] * s[:3]) @ vt[:3] + mean
    pca = PCA(x, 3)
    reconstructed = pca.reconstruct(x)
    np.testing.assert_allclose(
        reconstructed.reshape(len(x), -1), np.clip(expected, 0, 1), atol=1e-4
    )
    np.testing.assert_allclose(np.cov(pca.encode(x).T), np.eye(3), atol=1e-3)
    assert pca.generate(jax.random.key(0), 4).shape == (4, 12, 12, 1)


@pytest.mark.parametrize("clip", [True, False])
def test_noise_has_its_sigma_and_the_same_draw_at_every_sigma(clip):
    x = np.full((50, 20, 20, 1), 0.5, np.float32)
    small, large = (robustness.noisy(x, sigma, seed=3, clip=clip) for sigma in (0.1, 0.7))
    np.testing.assert_allclose((small - x).std(), 0.1, rtol=0.02)
    assert ((large >= 0) & (large <= 1)).all() == clip
    if not clip:
        np.testing.assert_allclose((large - x) / 0.7, (small - x) / 0.1, atol=1e-5)
    np.testing.assert_array_equal(robustness.noisy(x, 0.0, seed=3, clip=clip), x)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([1, 1, 0], [1, 1, 0], 1), ([1, 0], [0, 1], 0), ([1, 1, 0], [0, 1, 1], 1 / 3), ([0], [0], 1)],
)
def test_jaccard(a, b, expected):
    assert jaccard(np.array(a), np.array(b)) == expected


def test_every_model_of_a_table_is_a_valid_configuration():
    configs = [Config(**fields) for fields in trained_models(256, 4).values()]
    assert [config.latent_dim for config in configs] == [256] * 6 + [4]
    assert len(set(configs)) == len(configs)


def test_every_variant_of_the_ablation_is_a_valid_configuration_of_its_own():
    configs = [Config(**fields) for fields in variants().values()]
    assert len(set(configs)) == len(configs) > 30


def test_the_ablation_measures_what_it_is_asked_for_and_the_baseline(study, monkeypatch):
    titles = []
    monkeypatch.setattr(
        Study,
        "measure_trained",
        lambda self, experiment, variant, title, *_, **__: titles.append(title),
    )
    ablation.run(study, only="sample: |mu|, n")
    assert titles == ["beta-VAE", "sample: |mu|, nested"]


@pytest.mark.long
def test_collapse_is_measured_against_principal_components(study, monkeypatch):
    monkeypatch.setattr(collapse, "REDUCTIONS", {"sum": "summed"})
    collapse.run(study, bodies=("mlp",))
    (variant,) = {row.variant for row in study.results.rows}
    assert variant == "mlp, pixels summed, KL summed"
    assert [row.model for row in study.results.rows][-1] == "PCA, 8 components"
    assert all(row.metrics["psnr"] > 0 for row in study.results.rows)


def test_a_row_is_measured_once_over_interruptions(study, tmp_path):
    calls = []

    def measure() -> Measurement:
        calls.append(1)
        return Measurement({"psnr": 1.5}, {"originals": np.zeros((2, 4, 4, 1))})

    study.measure("table1", "averaged KL", "beta-VAE", {"k": 2}, 0, measure)
    resumed = dataclasses.replace(study, results=ResultsFile(tmp_path))
    resumed.measure("table1", "averaged KL", "beta-VAE", {"k": 2}, 0, measure)
    assert len(calls) == 1
    resumed.measure("table1", "averaged KL", "beta-VAE", {"k": 3}, 0, measure)
    assert len(calls) == 2
    (first, _) = read_results(tmp_path).rows
    assert first.data == {"source": "synthetic spots", "train": 512, "test": 128}
    assert first.config == {"k": 2, "test_latent": "mean"}


@pytest.mark.long
def test_table_1_metrics_of_a_model_and_the_stability_of_its_mask(study):
    config = SMALL.replace(epochs=2)
    inference = study.train(config, "model").inference
    assert study.train(config, "model").inference is inference
    metrics, pictures = measure_model(study, inference, seed=0)
    assert metrics["active_dims"] == 2
    assert {"psnr", "ssim", "fid_clf_prior", "kid_clf_mixture"} <= metrics.keys()
    assert np.isfinite(list(metrics.values())).all()
    assert pictures["samples_mixture"].shape[1:] == (12, 12, 1)

    measure_stability(study, "averaged KL", "model", config)
    (row,) = study.results.rows
    assert row.metrics["shift_ema_64"] == row.metrics["shift_ema_8"] == 0
    assert all(0 <= row.metrics[f"jaccard_{size}"] <= 1 for size in (1, 8, 64))


@pytest.mark.parametrize("classifier", ["clean", "reconstructions"])
def test_table_2_metrics_of_doing_nothing_are_the_classifiers(study, classifier):
    metrics, pictures = robustness.measure_robustness(study, np.asarray, 0, classifier=classifier)
    if classifier == "clean":
        assert metrics["accuracy_0.0"] == study.probe.test_accuracy
    assert metrics["accuracy_0.0"] >= metrics["accuracy_0.7"]
    assert {"noisy_0.5", "reconstructed_0.5", "originals"} <= pictures.keys()


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
        ({"config": Path(__file__)}, "config file .*test_experiments.py: "),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        StudyOptions(preset="tiny", out=tmp_path, **{"data": "embedded"} | options).study()


def test_merging_joins_seeds_and_keeps_the_pictures_of_the_first(tmp_path):
    def row(seed: int) -> Row:
        return Row(
            experiment="table1",
            variant="averaged KL",
            model="beta-VAE",
            config={"seed": seed},
            seed=seed,
            data={"source": "s", "train": 1, "test": 1},
            metrics={"psnr": float(seed)},
            seconds=1.0,
            pictures={"originals": {}},
        )

    for name, seeds in (("a", (3, 4)), ("b", (0, 3))):
        ResultsFile(tmp_path / name).merge([row(seed) for seed in seeds])
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    merged = {row.seed: row for row in read_results(tmp_path / "c").rows}
    assert sorted(merged) == [0, 3, 4]
    assert merged[0].pictures is not None
    assert merged[3].pictures is None
