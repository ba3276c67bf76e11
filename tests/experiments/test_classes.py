"""Images of the class that is asked for: what a row measures, and what the report shows."""

import numpy as np
import pytest

from experiments import classes
from experiments.measures.conditional import class_grid, measure_conditional
from experiments.records.pictures import encode_pictures
from experiments.records.rows import Row
from experiments.report import LAYOUTS
from experiments.reporting.figures.strips import draw_class_grids
from vae_topk_jax import Config


def test_a_grid_has_a_line_for_each_class():
    def generate(key, n, *, label):
        return np.broadcast_to(label[:, None, None, None] / 2.0, (n, 2, 2, 1))

    grid = class_grid(generate, classes=3, n=2)
    assert grid[:, 0, 0, 0].tolist() == [0, 0, 0.5, 0.5, 1, 1]


class Quarters:
    """A classifier of the blobs: in which quarter of the image the spot is."""

    test_accuracy = 1.0

    def features(self, images):
        quarters = np.asarray(images).reshape(-1, 2, 6, 2, 6).sum(axis=(2, 4))
        return quarters.reshape(-1, 4)

    def accuracy(self, images, labels):
        return float(np.mean(self.features(images).argmax(axis=1) == labels))


class Spots:
    """A model that puts the spot where the label says, but for half of its own prior's codes."""

    config = Config("beta_vae", latent_dim=4, classes=4)

    def __init__(self):
        self.fitted = ["frequency"]

    def reconstruct(self, images, *, label=None):
        return np.zeros_like(images) if label is None else images

    def fit_prior(self, images, prior, *, label, key):
        assert len(images) == len(label)
        self.fitted.append(prior)

    def generate(self, key, n, prior, *, label):
        assert prior in self.fitted
        if prior == "frequency":
            label = (label + (np.arange(n) % 8 < 4)) % 4  # half of them wrong
        quarters = np.eye(4, dtype=np.float32)[label].reshape(-1, 2, 2)
        return quarters.repeat(6, axis=1).repeat(6, axis=2)[..., None]


@pytest.mark.long
def test_a_row_says_how_many_images_are_as_asked(study, monkeypatch):
    monkeypatch.setattr("experiments.study.study.load_or_train_probe", lambda *_, **__: Quarters())
    metrics, pictures = measure_conditional(study, Spots(), seed=0)
    assert metrics.keys() == {column.metric for column in classes.LAYOUT.columns}
    asked = [metrics[f"asked_{name}"] for name in ("prior", "patterns", "mixture")]
    assert asked == [0.5, 1.0, 1.0]
    assert metrics["psnr"] > metrics["psnr_unlabelled"]
    assert len(pictures["classes"]) == 40


def test_every_row_is_told_the_classes_of_the_data_and_is_drawn(study):
    planned = [*classes.rows(study)]
    assert [row.place.model for row in planned] == [*classes.LAYOUT.models]
    assert {(row.config["classes"], row.config["latent_reduction"]) for row in planned} == {
        (4, "sum")
    }
    grid = {"classes": np.zeros((40, 12, 12, 1), np.float32)}
    row = Row(
        **planned[0].place._asdict(),
        config=planned[0].config,
        data=planned[0].data,
        metrics={},
        seconds=0.0,
        pictures=encode_pictures(grid),
    )
    (drawing,) = draw_class_grids([row])
    assert "class that was asked for" in drawing.caption
    assert classes.LAYOUT in LAYOUTS
