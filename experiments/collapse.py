"""Does it train everywhere? Every way to reduce the losses, both bodies, against PCA of as many
components.

    python -m experiments.collapse --preset paper --seeds 0 --epochs 2 --bodies mlp
    python -m experiments.collapse --preset paper --seeds 0 --epochs 1 --bodies conv

Beta stays at its default while the KL's weight beside the pixels changes by a factor of 50,000.
Both lines take half an hour together on two CPU cores. Expect by element 17.3 to 18.2 dB
everywhere, and 11.8 for mean |z| where pixels are averaged and the KL is summed, below the 14.7 of
eight principal components.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Literal

from experiments.records.rows import Place
from experiments.reporting.columns import QUALITY, SPARSITY
from experiments.reporting.compose import write_report
from experiments.reporting.figures.training_curves import draw_importance, draw_losses
from experiments.reporting.layout import Experiment
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
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli
from vae_topk_jax.metrics import reconstruction_metrics

Body = Literal["mlp", "conv"]
WIDTHS = {"mlp": (512, 256), "conv": (32, 64)}
REDUCTIONS = {"mean": "averaged", "sum": "summed"}
LAYOUT = Experiment(
    "collapse",
    "Collapse: every reduction of the losses, both bodies",
    "A model that reconstructs no better than as many principal components has collapsed.",
    (*QUALITY, SPARSITY[1]),
    figures=(draw_importance, draw_losses),
)


def rows(study: Study, bodies: tuple[Body, ...] = ("mlp", "conv")) -> Iterator[Planned]:
    """The reconstruction of each selection in every regime."""

    def measure(trained: Trained) -> Measurement:
        reconstructed = trained.inference.reconstruct(study.test_images)
        metrics = reconstruction_metrics(reconstructed, study.test_images)
        metrics["active_dims"] = len(trained.inference.active_dims)
        return Measurement(metrics, None, trained.history)

    models = trained_models(LATENT_DIM, K)
    for seed, body, pixels, latents in itertools.product(
        study.budget.seeds, bodies, REDUCTIONS, REDUCTIONS
    ):
        regime: dict[str, Any] = {"pixel_reduction": pixels, "latent_reduction": latents}
        variant = f"{body}, pixels {REDUCTIONS[pixels]}, KL {REDUCTIONS[latents]}"
        for title in (MEAN_ABS_Z, DIMENSION, ELEMENT):
            fields = models[title] | regime | {"body": body, "widths": WIDTHS[body], "seed": seed}
            config = study.config(**fields)
            yield study.plan_trained(LAYOUT.name, variant, title, config, measure)
        yield _floor(study, variant)


def _floor(study: Study, variant: str) -> Planned:
    def measure() -> Measurement:
        reconstructed = PCA(study.train_images, K).reconstruct(study.test_images)
        return Measurement(reconstruction_metrics(reconstructed, study.test_images))

    place = Place(LAYOUT.name, variant, pca_title(K), None)
    return study.plan(place, {"components": K}, measure)


def main(options: StudyFlags, bodies: tuple[Body, ...] = ("mlp", "conv")) -> None:
    """Reconstruction in every regime, and its report.

    Args:
        options: preset, data and output.
        bodies: which bodies to train.
    """
    study = options.study()
    study.measure(rows(study, bodies))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
