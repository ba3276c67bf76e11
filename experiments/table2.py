"""Table 2: is the digit still there? D=256, K=4, Gaussian noise on the test images.

    python -m experiments.table2 --preset quick
    python -m experiments.table2 --preset paper --out runs/b    # four hours on one CPU core

The noisy images are reconstructed, and the digit classifier reads the reconstructions. Two
protocols: models trained on clean images, and models trained to give back the clean image of a
noisy one (sigma ~ U(0, 0.8) per image). The rows "by likelihood" are of the same models; their
codes are those that explain the noisy image best (`experiments.measures.denoising`). What they gain
is due to the inference, not to sparsity: compare them with the dense model's, and with the label of
the nearest training image, which takes no model.

Expect of the second line, at sigma 0.7: 0.28 by element and 0.21 of the beta-VAE when trained on
clean images, 0.83 and 0.92 when trained to denoise.
The paper, sigma 0.3 / 0.5 / 0.7: beta-VAE 0.9125 / 0.8493 / 0.6486; Top-K 0.8992 / 0.8329 / 0.7841.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from experiments.measures.denoising import LikelihoodInference
from experiments.measures.robustness import Classifier, measure_nearest, measure_robustness
from experiments.measures.system import encode_milliseconds
from experiments.records.rows import Place
from experiments.reporting.columns import ACCURACY, ACTIVE
from experiments.reporting.figures.strips import draw_noise
from experiments.reporting.figures.training_curves import draw_importance, draw_losses
from experiments.reporting.layout import Experiment, Published, published
from experiments.reporting.tables import Column
from experiments.study.budget import chosen
from experiments.study.lineup import ANNEALED, SAMPLE, by_likelihood, pca_title, trained_models
from experiments.study.options import StudyFlags
from experiments.study.pca import PCA
from experiments.study.planned import Measurement, Planned, titled
from experiments.study.study import Study, Trained
from experiments.terminal import cli

LATENT_DIM, K = 256, 4
COST = 2.0  # of a row, in trainings of a small model
TRAIN_NOISE = 0.8
TIMED = 64  # images whose codes are inferred at once, five times
INFERENCE = Column("inference_ms", "inference", 2, "lower", "ms")
PROTOCOLS = {0.0: "trained on clean images", TRAIN_NOISE: "trained to denoise"}
# A body that denoises; with the paper's loss and the MLP of Table 1 every row loses accuracy.
BODY = {"body": "residual", "likelihood": "bernoulli", "beta": 0.01}
Settings = dict[str, Any]
PAPER = Published(
    published(
        beta_vae={"accuracy_0.3": 0.9125, "accuracy_0.5": 0.8493, "accuracy_0.7": 0.6486},
        top_k={"accuracy_0.3": 0.8992, "accuracy_0.5": 0.8329, "accuracy_0.7": 0.7841},
    ),
    ACCURACY,
)


LAYOUT = Experiment(
    "table2",
    "Table 2: accuracy on reconstructions of noisy images",
    "Test images with Gaussian noise of standard deviation sigma are reconstructed, and the "
    "digit classifier reads the reconstructions.",
    ACCURACY,
    further={"Active latents and cost": (*ACTIVE, INFERENCE)},
    summary=ACCURACY,
    figures=(draw_noise, draw_importance, draw_losses),
    paper=PAPER,
    variants=tuple(PROTOCOLS.values()),
    models=(
        *(*trained_models(LATENT_DIM, K), ANNEALED),
        *map(by_likelihood, (*trained_models(LATENT_DIM, K), ANNEALED)),
    ),
)


def rows(
    study: Study, clip_noise: bool = True, classifier: Classifier = "clean"
) -> Iterator[Planned]:
    """Every row of Table 2; none without labels."""
    if not study.has_labels:
        return
    settings: Settings = {"clip_noise": clip_noise, "classifier": classifier}

    def measured(model: Any, seed: int, **options: Any) -> tuple[dict[str, float], dict]:
        metrics, pictures = measure_robustness(study, model, seed, **options)
        metrics["inference_ms"] = encode_milliseconds(model, study.test_images[:TIMED])
        return metrics, pictures

    def measure(trained: Trained) -> Measurement:
        found = measured(trained.inference, trained.seed, **settings)
        return Measurement(*found, trained.history)

    def measure_by_likelihood(trained: Trained) -> Measurement:
        model = LikelihoodInference(trained.inference, study.train_images, clip_noise)
        return Measurement(*measured(model, trained.seed, images=study.budget.denoised, **settings))

    models = trained_models(LATENT_DIM, K)
    models[ANNEALED] = models[SAMPLE] | {"k_anneal": 0.3}
    models = chosen(models, study.budget.table2)
    for seed in study.budget.seeds:
        for noise, protocol in PROTOCOLS.items():
            changes = {"seed": seed, "train_noise": noise, "clip_noise": clip_noise}
            for title, fields in models.items():
                config = study.config(BODY, **changes, **fields)
                yield study.plan_trained(
                    LAYOUT.name, protocol, title, config, measure, COST, **settings
                )
                if denoised := study.budget.denoised:
                    yield study.plan_trained(
                        LAYOUT.name,
                        protocol,
                        by_likelihood(title),
                        config,
                        measure_by_likelihood,
                        COST,
                        **settings | {"inference": "likelihood", "denoised": denoised},
                    )
        yield from _references(study, settings, seed)


def _references(study: Study, settings: Settings, seed: int) -> Iterator[Planned]:
    """Rows that no protocol changes: they stand in both tables. PCA is fitted on clean images."""

    def pca(components: int) -> Measurement:
        fitted = PCA(study.train_images, components)
        return Measurement(*measure_robustness(study, fitted, seed, **settings))

    def nothing() -> Measurement:
        return Measurement(*measure_robustness(study, np.asarray, seed, **settings))

    def nearest() -> Measurement:
        return Measurement(measure_nearest(study, seed, settings["clip_noise"]))

    references: dict[str, Callable[[], Measurement]] = {
        pca_title(K): functools.partial(pca, K),
        pca_title(LATENT_DIM): functools.partial(pca, LATENT_DIM),
        "classifier on the noisy image": nothing,
        "nearest training image's label": nearest,
    }
    for title, measure in references.items():
        once = functools.cache(measure)
        for protocol in PROTOCOLS.values():
            yield study.plan(Place(LAYOUT.name, protocol, title, seed), settings, once)


def main(
    options: StudyFlags,
    clip_noise: bool = True,
    classifier: Classifier = "clean",
    only: str = "",
) -> None:
    """Table 2 alone.

    Args:
        options: preset, data and output.
        clip_noise: clip noisy images to [0, 1], in training and in the test.
        classifier: what the classifier was trained on: clean images, or each model's
            reconstructions of them.
        only: measure only what has this in its title.
    """
    study = options.study()
    study.measure(titled(rows(study, clip_noise, classifier), only))


if __name__ == "__main__":
    cli.run(main)
