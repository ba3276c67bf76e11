"""Table 2: is the digit still there? D=256, K=4, Gaussian noise on the test images.

    python -m experiments.table2 --preset quick

The noisy images are reconstructed, and the digit classifier reads the reconstructions. Two
protocols: models trained on clean images, and models trained to give back the clean image of a
noisy one (sigma ~ U(0, 0.8) an image).

The paper, sigma 0.3 / 0.5 / 0.7: beta-VAE 0.9125 / 0.8493 / 0.6486; Top-K 0.8992 / 0.8329 / 0.7841.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from experiments.study.lineup import ANNEALED, SAMPLE, pca_title, trained_models
from experiments.study.options import StudyOptions
from experiments.study.pca import PCA
from experiments.study.study import PICTURES, Measurement, Study, study_key, to_uint8
from experiments.terminal import cli
from vae_topk_jax.config import Config
from vae_topk_jax.metrics import TrainedProbe, train_probe

LATENT_DIM, K = 256, 4
SIGMAS = (0.0, 0.3, 0.5, 0.7)
TRAIN_NOISE = 0.8
PROTOCOLS = {0.0: "trained on clean images", TRAIN_NOISE: "trained to denoise"}
# A body that denoises; with the paper's loss and the MLP of Table 1 every row loses accuracy.
BODY = {"body": "residual", "likelihood": "bernoulli", "beta": 0.01}
Classifier = Literal["clean", "reconstructions"]
Reconstruct = Callable[[np.ndarray], Any]
Settings = dict[str, Any]


def run(study: Study, clip_noise: bool = True, classifier: Classifier = "clean") -> None:
    """Measures every row of Table 2."""
    settings: Settings = {"clip_noise": clip_noise, "classifier": classifier}
    models = trained_models(LATENT_DIM, K)
    models[ANNEALED] = models[SAMPLE] | {"k_anneal": 0.3}
    for seed in study.budget.seeds:
        for noise, protocol in PROTOCOLS.items():
            changes = {"seed": seed, "train_noise": noise, "clip_noise": clip_noise}
            for title, fields in models.items():
                config = study.config(BODY, **changes, **fields)
                _measure_trained(study, protocol, title, config, settings)
        _measure_references(study, settings, seed)


def noisy(images: np.ndarray, sigma: float, seed: int, clip: bool) -> np.ndarray:
    """images + sigma * eps, clipped to [0, 1] if asked; eps is the same for every sigma."""
    eps = np.asarray(jax.random.normal(study_key(seed, "noise"), images.shape))
    corrupted = images + np.float32(sigma) * eps
    return np.clip(corrupted, 0.0, 1.0) if clip else corrupted


def _measure_trained(
    study: Study, protocol: str, title: str, config: Config, settings: Settings
) -> None:
    def measure() -> Measurement:
        trained = study.train(config, f"{title}, {protocol}, seed {config.seed}")
        reconstruct = trained.inference.reconstruct
        metrics, pictures = measure_robustness(study, reconstruct, config.seed, **settings)
        metrics["seconds_training"] = round(trained.seconds, 2)
        return Measurement(metrics, pictures, trained.history)

    study.measure("table2", protocol, title, config.to_dict() | settings, config.seed, measure)


def measure_robustness(
    study: Study,
    reconstruct: Reconstruct,
    seed: int,
    clip_noise: bool = True,
    classifier: Classifier = "clean",
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Accuracy on reconstructions of noisy test images for every sigma, and pictures of them."""
    probe = _classifier(study, reconstruct, seed, classifier)
    metrics: dict[str, float] = {}
    pictures = {"originals": study.test_images[:PICTURES]}
    for sigma in SIGMAS:
        inputs = noisy(study.test_images, sigma, seed, clip_noise)
        outputs = np.clip(np.asarray(reconstruct(inputs)), 0.0, 1.0)
        metrics[f"accuracy_{sigma}"] = probe.accuracy(outputs, study.dataset.test_labels)
        if sigma:
            pictures[f"noisy_{sigma}"] = np.clip(inputs[:PICTURES], 0.0, 1.0)
            pictures[f"reconstructed_{sigma}"] = outputs[:PICTURES]
    return metrics, pictures


def _classifier(
    study: Study, reconstruct: Reconstruct, seed: int, classifier: Classifier
) -> TrainedProbe:
    """The study's classifier, or one trained on this model's reconstructions."""
    if classifier == "clean":
        return study.probe
    images = np.concatenate(
        [
            to_uint8(np.clip(np.asarray(reconstruct(chunk)), 0.0, 1.0))
            for chunk in np.array_split(study.train_images, max(1, len(study.train_images) // 5000))
        ]
    )
    return train_probe(
        images,
        study.dataset.train_labels,
        study_key(seed, "probe"),
        num_classes=study.dataset.num_classes,
        epochs=study.budget.probe.over(len(images)),
    )


def _measure_references(study: Study, settings: Settings, seed: int) -> None:
    """Rows that no protocol changes: they stand in both tables. PCA is fitted on clean images."""

    def pca(components: int) -> Measurement:
        reconstruct = PCA(study.train_images, components).reconstruct
        return Measurement(*measure_robustness(study, reconstruct, seed, **settings))

    def nothing() -> Measurement:
        return Measurement(*measure_robustness(study, np.asarray, seed, **settings))

    references: dict[str, Callable[[], Measurement]] = {
        pca_title(K): functools.partial(pca, K),
        pca_title(LATENT_DIM): functools.partial(pca, LATENT_DIM),
        "classifier on the noisy image": nothing,
    }
    for title, measure in references.items():
        once = functools.cache(measure)
        for protocol in PROTOCOLS.values():
            study.measure("table2", protocol, title, settings, seed, once)


def main(options: StudyOptions, clip_noise: bool = True, classifier: Classifier = "clean") -> None:
    """Table 2 alone.

    Args:
        options: preset, data and output.
        clip_noise: clip noisy images to [0, 1], in training and in the test.
        classifier: what the classifier was trained on: clean images, or each model's
            reconstructions of them.
    """
    run(options.study(), clip_noise, classifier)


if __name__ == "__main__":
    cli.run(main)
