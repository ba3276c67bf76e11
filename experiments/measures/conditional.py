"""Images of a class that was asked for: are they of that class?"""

from typing import Any, Protocol

import jax
import numpy as np

from experiments.study.keys import study_key
from experiments.study.study import Study
from vae_topk_jax.samplers import fit_patterns, sample_patterns


class Generate(Protocol):
    """n images of the classes label_N."""

    def __call__(self, key: jax.Array, n: int, *, label: np.ndarray) -> Any: ...


def conditional_accuracy(study: Study, generate: Generate, n: int, seed: int = 0) -> float:
    """The share of n images that the study's classifier puts in the class asked for, as many of
    each class but for one.

    Args:
        study: gives the classifier; its data must have labels.
        generate: `Inference.generate` of a model with `classes`, or a sampler like it.
        n: how many images.
        seed: of what is drawn.
    """
    label_N = np.arange(n) % study.dataset.num_classes
    images = generate(study_key(seed, "conditional"), n, label=label_N)
    return study.probe.accuracy(np.clip(np.asarray(images), 0.0, 1.0), label_N)


def class_grid(generate: Generate, classes: int, n: int, seed: int = 0) -> np.ndarray:
    """n images of each class, (classes * n, H, W, C) in [0, 1]: those of class 0 first."""
    label_N = np.repeat(np.arange(classes), n)
    images = generate(study_key(seed, "class grid"), len(label_N), label=label_N)
    return np.clip(np.asarray(images), 0.0, 1.0)


def class_patterns(model: Any, images: np.ndarray, labels: np.ndarray) -> Generate:
    """A sampler of codes class by class: `samplers.sample_patterns` of the codes of some images
    of each class.

    Args:
        model: with `encode` and `decode` that take labels.
        images: training images, floating.
        labels: their classes.
    """
    codes = np.asarray(model.encode(images, label=labels))
    patterns = {int(c): fit_patterns(codes[labels == c]) for c in np.unique(labels)}

    def generate(key: jax.Array, n: int, *, label: np.ndarray) -> Any:
        drawn = np.zeros((n, codes.shape[1]), np.float32)
        for number in np.unique(label):
            of_class = np.flatnonzero(label == number)
            of_key = jax.random.fold_in(key, int(number))
            drawn[of_class] = sample_patterns(of_key, len(of_class), patterns[int(number)])
        return model.decode(drawn, label=label)

    return generate
