"""Table 1: reconstruction and generation, D=64 and K=8 of them active.

    python -m experiments.table1 --preset quick
    python -m experiments.table1 --preset paper --out runs/a    # three hours on one CPU core

Expect of the second line, averaged KL: PSNR 19.9 dB by element, 24.5 of the beta-VAE, 14.7 of eight
principal components; FID-clf of the mixture 20, 36 and 246.
The paper: beta-VAE FID 41.307, PSNR 21.538 dB, SSIM 0.9171; batch Top-K 34.373, 14.171, 0.749.
"""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

from experiments.measures.generation import distances, measure_model, settings
from experiments.measures.stability import plan_stability
from experiments.records.rows import Place
from experiments.reporting.columns import GENERATION, QUALITY, SPARSITY, SPREAD
from experiments.reporting.figures.strips import draw_reconstructions, draw_samples
from experiments.reporting.figures.training_curves import draw_importance, draw_losses
from experiments.reporting.layout import Experiment, Published, published
from experiments.reporting.tables import Column
from experiments.study.budget import chosen
from experiments.study.lineup import (
    DIMENSION,
    ELEMENT,
    LATENT_DIM,
    MEAN_ABS_Z,
    K,
    pca_title,
    trained_models,
)
from experiments.study.options import StudyFlags
from experiments.study.pca import PCA
from experiments.study.planned import Measurement, Planned, titled
from experiments.study.study import Study, Trained
from experiments.terminal import cli

VARIANTS = {"mean": "averaged KL", "sum": "summed KL"}
PAPER = Published(
    published(
        beta_vae={"fid": 41.307, "psnr": 21.538, "ssim": 0.9171},
        top_k={"fid": 34.373, "psnr": 14.171, "ssim": 0.749},
    ),
    (
        Column("fid", "FID, Inception", 3, "lower"),
        Column("psnr", "PSNR", 3, "higher", "dB"),
        Column("ssim", "SSIM", 4, "higher"),
    ),
    "The paper's FID is an Inception FID: not comparable with FID-clf.",
)
LAYOUT = Experiment(
    "table1",
    "Table 1: reconstruction and generation",
    "Images are generated from codes drawn from the prior, N(0, I) with the small entries of a "
    "latent silenced, so that it is active as often as in training; from the patterns of "
    "training images, with Gaussian values; or from a Gaussian mixture fitted to the latents "
    "of training images before the mask and sampled through it.",
    (*QUALITY, *GENERATION, *SPREAD, *SPARSITY),
    summary=(QUALITY[0], QUALITY[2], GENERATION[0], GENERATION[2]),
    figures=(draw_reconstructions, draw_samples, draw_importance, draw_losses),
    paper=PAPER,
    variants=tuple(VARIANTS.values()),
    models=tuple(trained_models(LATENT_DIM, K)),
)


def rows(study: Study, inception_weights: Path | None = None) -> Iterator[Planned]:
    """Every row of Table 1, and the stability of its Top-K models."""

    def measure(trained: Trained) -> Measurement:
        seed = trained.inference.config.seed
        found = measure_model(study, trained.inference, seed, inception_weights)
        return Measurement(*found, trained.history)

    models = chosen(trained_models(LATENT_DIM, K), study.budget.table1)
    if study.has_labels:
        yield from _floor(study)
    for seed, reduction in itertools.product(study.budget.seeds, study.budget.variants):
        for title, fields in models.items():
            config = study.config(seed=seed, latent_reduction=reduction, **fields)
            yield study.plan_trained(
                LAYOUT.name, VARIANTS[reduction], title, config, measure, **settings(study)
            )
            if title in (MEAN_ABS_Z, DIMENSION, ELEMENT):  # where a batch has a choice
                yield plan_stability(study, VARIANTS[reduction], title, config)
    for components in (K, LATENT_DIM):
        yield from _pca(study, components)


def _floor(study: Study) -> Iterator[Planned]:
    """The distance of real training images to the test images: what no sampler should beat."""
    n = min(study.budget.samples, len(study.test_images))

    @functools.cache
    def measure() -> Measurement:
        return Measurement(distances(study, study.train_images[:n]))

    fields = {"samples": n, "classifiers": study.budget.classifiers}
    for reduction in study.budget.variants:
        place = Place(LAYOUT.name, VARIANTS[reduction], "train images (floor)", None)
        yield study.plan(place, fields, measure)


def _pca(study: Study, components: int) -> Iterator[Planned]:
    fields = settings(study) | {"components": components}

    @functools.cache
    def measure() -> Measurement:
        return Measurement(*measure_model(study, PCA(study.train_images, components), seed=0))

    for reduction in study.budget.variants:
        place = Place(LAYOUT.name, VARIANTS[reduction], pca_title(components), None)
        yield study.plan(place, fields, measure)


def main(options: StudyFlags, inception_weights: Path | None = None, only: str = "") -> None:
    """Table 1 alone.

    Args:
        options: preset, data and output.
        inception_weights: a local file of torch-fidelity's Inception weights: adds the Inception
            FID (extra "inception").
        only: measure only what has this in its title.
    """
    study = options.study()
    study.measure(titled(rows(study, inception_weights), only))


if __name__ == "__main__":
    cli.run(main)
