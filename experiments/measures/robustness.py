"""Robustness: is the digit still there after a noisy image was reconstructed?"""

import functools
from collections.abc import Callable
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import numpy as np

from experiments.measures.nearest import nearest
from experiments.records.pictures import to_uint8
from experiments.study.keys import study_key
from experiments.study.study import PICTURES, Study
from vae_topk_jax.metrics import TrainedProbe, train_probe

SIGMAS = (0.0, 0.3, 0.5, 0.7)
NEAREST = 2000  # test images whose nearest training image is sought
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


@runtime_checkable
class Coder(Protocol):
    """What has codes, which are counted."""

    def encode(self, x: Any) -> Any: ...
    def decode(self, z: Any) -> Any: ...


def measure_robustness(
    study: Study,
    model: Coder | Reconstruct,
    seed: int,
    clip_noise: bool = True,
    classifier: Classifier = "clean",
    images: int | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Accuracy on reconstructions of noisy test images for every sigma, and pictures of them.

    Args:
        study: data and classifier.
        model: noisy images to images, if it has codes through them: then the active latents are
            counted as well.
        seed: of the noise.
        clip_noise: clip noisy images to [0, 1].
        classifier: what the classifier was trained on.
        images: how many test images count, evenly spaced; None: all.
    """
    probe = _classifier(study, model, seed, classifier)
    metrics: dict[str, float] = {}
    pictures = {"originals": study.test_images[:PICTURES]}
    every = _every(study, images)
    labels = study.dataset.labels[1][::every]
    for sigma in SIGMAS:
        inputs = noisy(study.test_images, sigma, seed, clip_noise)[::every]
        outputs, active = _reconstructed(model, inputs)
        metrics[f"accuracy_{sigma}"] = probe.accuracy(outputs, labels)
        if active is not None:
            metrics[f"active_latents_{sigma}"] = active
        if sigma and every == 1:
            pictures[f"noisy_{sigma}"] = np.clip(inputs[:PICTURES], 0.0, 1.0)
            pictures[f"reconstructed_{sigma}"] = outputs[:PICTURES]
    return metrics, pictures


def _every(study: Study, images: int | None) -> int:
    """The step at which so many test images are taken."""
    return max(1, len(study.test_images) // images) if images else 1


def measure_nearest(study: Study, seed: int, clip_noise: bool = True) -> dict[str, float]:
    """How often the raw training image nearest to a noisy test image has its label, of 2,000 test
    images, evenly spaced."""
    every = _every(study, NEAREST)
    train, test = study.dataset.labels[0], study.dataset.labels[1][::every]
    bank = study.train_images.reshape(len(study.train_images), -1)
    metrics = {}
    for sigma in SIGMAS:
        inputs = noisy(study.test_images, sigma, seed, clip_noise)[::every]
        index_N, _ = nearest(inputs.reshape(len(inputs), -1), bank)
        metrics[f"accuracy_{sigma}"] = float(np.mean(train[index_N] == test))
    return metrics


def _reconstructed(
    model: Coder | Reconstruct, images: np.ndarray
) -> tuple[np.ndarray, float | None]:
    """The images, clipped to [0, 1], and how many latents of a code are active on average."""
    if not isinstance(model, Coder):
        return np.clip(np.asarray(model(images)), 0.0, 1.0), None
    codes = np.asarray(model.encode(images))
    active = float(np.count_nonzero(codes, axis=1).mean())
    return np.clip(np.asarray(model.decode(codes)), 0.0, 1.0), active


def _classifier(
    study: Study, model: Coder | Reconstruct, seed: int, classifier: Classifier
) -> TrainedProbe:
    """The study's classifier, or one trained on this model's reconstructions."""
    if classifier == "clean":
        return study.probe
    images = np.concatenate(
        [
            to_uint8(_reconstructed(model, chunk)[0])
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
