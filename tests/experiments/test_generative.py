"""The experiment of learned priors: its rows, their choices, and one of each kind measured."""

import numpy as np
import pytest

from experiments import generative
from experiments.generative import CHOICE, CHOICE_BY_SLOT, CLASSES, FLOOR, models
from experiments.records.rows import Row
from experiments.reporting.figures.generators import draw_generators
from experiments.study.study import Judge, Study, Trained
from tests.helpers.report_rows import make_row
from tests.helpers.runs import untrained
from vae_topk_jax.config import Config
from vae_topk_jax.metrics import Features
from vae_topk_jax.priors.registry import OWN, PRIORS


def test_every_model_has_its_floor_and_every_prior(study):
    rows = list(generative.rows(study))
    assert len({Config(**fields) for fields in models().values()}) == len(models())
    assert [row.place.model for row in rows[: len(PRIORS) + 2]] == [FLOOR, OWN, *PRIORS]
    assert len({row.key for row in rows}) == len(models()) * (len(PRIORS) + 2)
    assert not {"measured", "validation"} & {*rows[0].data, *rows[0].config}


def test_settings_are_compared_on_held_out_images(study):
    rows = list(generative.rows(study, "choice", steps=7))
    assert {row.place.variant for row in rows} == {CHOICE, CHOICE_BY_SLOT}
    assert {row.data["measured"] for row in rows} == {"validation"}
    steps = {row.place.model: row.config.get("prior_steps") for row in rows}
    assert steps["vamp"] is None
    assert steps["flow"] == 7


class Pixels:
    """A classifier whose features are some of the pixels."""

    def features(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, ::7]

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        return float(np.mean(labels == 0))


@pytest.mark.long
@pytest.mark.parametrize("model", ["Top-K by slot", CLASSES])
def test_floor_and_priors_are_measured(study, monkeypatch, model):
    judge = Judge(Pixels(), Features(Pixels().features(study.test_images)))
    monkeypatch.setattr(Study, "judges", [judge])
    classes = models(study.dataset.num_classes)[model].get("classes", 0)
    inference = untrained(study.dataset, selection="sample", classes=classes)
    trained = Trained(inference, {}, 0.0, None)
    monkeypatch.setattr(Study, "train", lambda self, config: trained)
    rows = [
        row
        for row in generative.rows(study, only=f"{model}: ")
        if row.place.model in (FLOOR, OWN, "patterns")
    ]
    study.measure(rows)
    floor, own, patterns = (row.metrics for row in study.results.rows)
    assert floor["psnr"] > 1
    assert patterns["fid_over_floor"] == pytest.approx(patterns["fid_clf"] / floor["fid_clf"])
    assert floor["active_latents"] == patterns["active_latents"] == 2
    assert patterns["coactivation_correlation"] > own["coactivation_correlation"]
    assert patterns["frequency_difference"] < 25
    assert 0.5 < patterns["novelty"] < 2
    assert {"generated", "nearest"} == {*study.results.rows[2].pictures}
    assert all(np.isfinite([*own.values(), *patterns.values()]))
    asked = [metrics.get("asked") for metrics in (own, patterns)]
    assert asked == [1 / classes if classes else None] * 2


def test_a_model_stands_at_its_best_prior():
    def row(model: str, prior: str, seed: int, **metrics: float) -> Row:
        return make_row("generative", model, prior, seed, metrics=metrics)

    rows = [
        row("a", FLOOR, 0, psnr=20.0, fid_clf=5.0),
        *(row("a", "flow", seed, fid_clf=fid) for seed, fid in enumerate((8.0, 10.0))),
        row("a", "mixture", 0, fid_clf=12.0),
        row("b", FLOOR, 0, psnr=21.0, fid_clf=5.0),
    ]
    (drawing,) = draw_generators(rows)
    points = [line.get_xydata().tolist() for line in drawing.figure.axes[0].lines]
    assert points == [[[9.0, 20.0]]] * 2  # the front, and the one point that it has
    assert not list(draw_generators(rows[-1:]))
