"""Robustness: is the digit still there after a noisy image was reconstructed?"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from experiments.measures.denoising import nearest
from experiments.records.pictures import to_uint8
from experiments.study.keys import study_key
from experiments.study.study import PICTURES, Study
from vae_topk_jax.metrics import TrainedProbe, train_probe

SIGMAS = (0.0, 0.3, 0.5, 0.7)
Classifier = Literal["clean", "reconstructions"]
Reconstruct = Callable[[np.ndarray], Any]


def noisy(images: np.ndarray, sigma: float, seed: int, clip: bool) -> np.ndarray:
    """images + sigma * eps, clipped to [0, 1] if asked; eps is the same for every sigma."""
    corrupted = images + np.float32(sigma) * _eps(seed, images.shape)
    return np.clip(corrupted, 0.0, 1.0) if clip else corrupted


@functools.lru_cache(maxsize=1)
def _eps(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """The noise that all models and sigmas share."""
    return np.asarray(jax.random.normal(study_key(seed, "noise"), shape))


def measure_robustness(
    study: Study,
    reconstruct: Reconstruct,
    seed: int,
    clip_noise: bool = True,
    classifier: Classifier = "clean",
    encode: Reconstruct | None = None,
    images: int | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Accuracy on reconstructions of noisy test images for every sigma, and pictures of them.

    Args:
        study: data and classifier.
        reconstruct: noisy images to images.
        seed: of the noise.
        clip_noise: clip noisy images to [0, 1].
        classifier: what the classifier was trained on.
        encode: noisy images to codes, of which the active latents are counted.
        images: how many test images count, evenly spaced; None: all.
    """
    probe = _classifier(study, reconstruct, seed, classifier)
    metrics: dict[str, float] = {}
    pictures = {"originals": study.test_images[:PICTURES]}
    every = max(1, len(study.test_images) // images) if images else 1
    labels = study.dataset.labels[1][::every]
    for sigma in SIGMAS:
        inputs = noisy(study.test_images, sigma, seed, clip_noise)[::every]
        outputs = np.clip(np.asarray(reconstruct(inputs)), 0.0, 1.0)
        metrics[f"accuracy_{sigma}"] = probe.accuracy(outputs, labels)
        if encode is not None:
            active = np.count_nonzero(np.asarray(encode(inputs)), axis=1)
            metrics[f"active_latents_{sigma}"] = float(active.mean())
        if sigma and every == 1:
            pictures[f"noisy_{sigma}"] = np.clip(inputs[:PICTURES], 0.0, 1.0)
            pictures[f"reconstructed_{sigma}"] = outputs[:PICTURES]
    return metrics, pictures


def measure_nearest(study: Study, seed: int, clip_noise: bool = True) -> dict[str, float]:
    """How often the raw training image nearest to a noisy test image has its label."""
    train, test = study.dataset.labels
    bank = study.train_images.reshape(len(study.train_images), -1)
    metrics = {}
    for sigma in SIGMAS:
        inputs = noisy(study.test_images, sigma, seed, clip_noise)
        index_N, _ = nearest(inputs.reshape(len(inputs), -1), bank)
        metrics[f"accuracy_{sigma}"] = float(np.mean(train[index_N] == test))
    return metrics


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
        study.dataset.labels[0],
        study_key(seed, "probe"),
        num_classes=study.dataset.num_classes,
        epochs=study.budget.probe.over(len(images)),
    )
