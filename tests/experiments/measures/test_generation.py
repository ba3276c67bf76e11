"""What Table 1 measures of a model."""

import dataclasses

import numpy as np
import pytest

from experiments import table2
from experiments.measures.generation import distances, measure_model
from experiments.measures.stability import plan_stability
from experiments.measures.system import measure_system
from tests.helpers.runs import SMALL


@pytest.mark.long
def test_table_1_metrics_of_a_model_and_the_stability_of_its_mask(study):
    config = SMALL.replace(epochs=2)
    inference = study.train(config).inference
    assert study.train(config).inference is inference
    metrics, pictures = measure_model(study, inference, seed=0)
    assert metrics["active_dims"] == 2
    assert {"psnr", "ssim", "fid_clf_prior", "kid_clf_mixture"} <= metrics.keys()
    assert np.isfinite(list(metrics.values())).all()
    assert pictures["samples_mixture"].shape[1:] == (12, 12, 1)

    study.measure([plan_stability(study, "averaged KL", "model", config)])
    (row,) = study.results.rows
    assert row.metrics["shift_ema_64"] == row.metrics["shift_ema_8"] == 0
    assert all(0 <= row.metrics[f"jaccard_{size}"] <= 1 for size in (1, 8, 64))


@pytest.mark.long
def test_without_labels_the_rest_is_measured(study):
    dataset = dataclasses.replace(study.dataset, train_labels=None, test_labels=None)
    unlabelled = study.on(dataset)
    inference = unlabelled.train(SMALL.replace(epochs=1)).inference
    metrics, pictures = measure_system(unlabelled, inference, seed=0)
    assert {"psnr", "ssim", "active_dims", "hoyer"} <= metrics.keys()
    assert not [name for name in metrics if "clf" in name or "accuracy" in name or "probe" in name]
    assert {"originals", "reconstructions", "atlas"} <= pictures.keys()
    assert not [*table2.rows(unlabelled)]


def test_generated_images_are_judged_by_classifiers_of_several_seeds(study, monkeypatch):
    class Fake:
        test_accuracy = 1.0

        def __init__(self, seed):
            self.seed = seed

        def features(self, images):
            return (1 + self.seed) * np.asarray(images)[:, 5, 4:7, 0]

    monkeypatch.setattr(
        "experiments.study.study.load_or_train_probe", lambda *_, seed, **options: Fake(seed)
    )
    images = study.train_images[:64]
    alone = distances(study, images)
    study = dataclasses.replace(study, budget=dataclasses.replace(study.budget, classifiers=3))
    found = distances(study, images)
    assert found.keys() - alone.keys() == {"fid_clf_sd"}
    assert found["fid_clf"] == alone["fid_clf"] > 0
    scaled = [alone["fid_clf"] * (1 + seed) ** 2 for seed in range(3)]
    np.testing.assert_allclose(found["fid_clf_sd"], np.std(scaled, ddof=1), rtol=1e-5)
