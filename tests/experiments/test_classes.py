"""Images of the class that is asked for: what a row measures, and what the report shows."""

import dataclasses
import itertools

import numpy as np
import pytest

from experiments import classes
from experiments.measures.conditional import class_grid
from experiments.records.pictures import decode_images
from experiments.report import LAYOUTS
from experiments.reporting.figures.strips import draw_class_grids


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


@pytest.mark.long
def test_a_row_says_how_many_images_are_as_asked(study, monkeypatch):
    for name, size in (("LATENT_DIM", 8), ("K", 2)):
        monkeypatch.setattr(classes, name, size)
    monkeypatch.setattr("vae_topk_jax.samplers.MIXTURES", (("diag", 1),))
    monkeypatch.setattr("experiments.study.study.load_or_train_probe", lambda *_, **__: Quarters())
    study = dataclasses.replace(study, given={"widths": (16,), "batch_size": 64})
    study.measure(itertools.islice(classes.rows(study), 1, 2))
    (row,) = study.results.rows
    assert row.config["classes"] == 4
    assert row.config["latent_reduction"] == "sum"
    assert row.metrics.keys() >= {column.metric for column in classes.LAYOUT.columns}
    assert all(0 <= row.metrics[f"asked_{name}"] <= 1 for name in ("prior", "patterns", "mixture"))
    assert row.metrics["psnr"] != row.metrics["psnr_unlabelled"]
    assert len(decode_images(row.pictures["classes"])) == 40
    (drawing,) = draw_class_grids([row])
    assert "class that was asked for" in drawing.caption
    assert classes.LAYOUT in LAYOUTS
