"""Images of a class that was asked for: are they of that class?"""

import functools
from typing import Any, Protocol

import jax
import numpy as np

from experiments.measures.generation import distances
from experiments.study.keys import study_key
from experiments.study.study import PICTURES, Study
from vae_topk_jax.metrics import reconstruction_metrics
from vae_topk_jax.priors.registry import OWN


class Generate(Protocol):
    """n images of the classes label_N."""

    def __call__(self, key: jax.Array, n: int, *, label: np.ndarray) -> Any: ...


def measure_conditional(
    study: Study, model: Any, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Reconstructions with the label and without; `conditional_scores` of the model's own prior and
    of two that are fitted; and images of every class from its own.

    Args:
        study: gives the data, which must have labels, and the classifier.
        model: an `Inference` of a model with `classes`, to which the priors are fitted.
        seed: of what is drawn.
    """
    test, (train_labels, test_labels) = study.test_images, study.dataset.labels
    reconstructed = {"psnr": model.reconstruct(test, label=test_labels)}
    reconstructed["psnr_unlabelled"] = model.reconstruct(test)
    metrics = {
        name: reconstruction_metrics(np.asarray(images), test)["psnr"]
        for name, images in reconstructed.items()
    }
    images = study.train_images[: study.budget.mixture_codes]
    labels = train_labels[: len(images)]
    for name in ("patterns", "mixture"):
        model.fit_prior(images, name, label=labels, key=study_key(seed, name))
    names = {"prior": OWN, "patterns": "patterns", "mixture": "mixture"}
    samplers = {t: functools.partial(model.generate, prior=name) for t, name in names.items()}
    n = min(study.budget.samples, len(test))
    for title, generate in samplers.items():
        scores = conditional_scores(study, generate, n, seed)
        metrics |= {f"{score}_{title}": value for score, value in scores.items()}
    grid = class_grid(samplers["prior"], study.dataset.num_classes, PICTURES)
    return metrics, {"classes": grid}


def conditional_scores(study: Study, generate: Generate, n: int, seed: int = 0) -> dict[str, float]:
    """Of n images, as many of each class but for one: "asked", the share that the study's
    classifier puts in the class asked for, and "fid_clf" to the test images.

    Args:
        study: gives the classifier; its data must have labels.
        generate: `Inference.generate` of a model with `classes`, or a sampler like it.
        n: how many images.
        seed: of what is drawn.
    """
    label_N = np.arange(n) % study.dataset.num_classes
    images = generate(study_key(seed, "conditional"), n, label=label_N)
    images = np.clip(np.asarray(images), 0.0, 1.0)
    asked = study.probe.accuracy(images, label_N)
    return {"asked": asked, "fid_clf": distances(study, images)["fid_clf"]}


def class_grid(generate: Generate, classes: int, n: int, seed: int = 0) -> np.ndarray:
    """n images of each class, (classes * n, H, W, C) in [0, 1]: those of class 0 first."""
    label_N = np.repeat(np.arange(classes), n)
    images = generate(study_key(seed, "class grid"), len(label_N), label=label_N)
    return np.clip(np.asarray(images), 0.0, 1.0)
