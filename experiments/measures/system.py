"""Everything that the comparison measures of a system but its costs in training."""

import time
from typing import Any

import numpy as np

from experiments.measures.generation import measure_model
from experiments.measures.robustness import measure_robustness
from experiments.measures.traversals import atlas, traversals
from experiments.reporting.columns import SAMPLERS
from experiments.study.study import Study
from vae_topk_jax.metrics import linear_probe_accuracy, sparsity_metrics
from vae_topk_jax.metrics.linear_probe import TRAIN_CODES
from vae_topk_jax.metrics.sparsity import dims_in_use

SHOWN_SIGMA = 0.5
ENCODED = 1024  # images whose encoding is timed, five times


def measure_system(
    study: Study, model: Any, seed: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The metrics of one row of the comparison, but for its costs in training, and its pictures."""
    metrics, pictures = measure_model(study, model, seed)
    train, test = (
        np.asarray(model.encode(images))
        for images in (study.train_images[:TRAIN_CODES], study.test_images)
    )
    metrics |= sparsity_metrics(test) | {"active_dims": len(dims_in_use(train))}
    metrics["encode_ms"] = encode_milliseconds(model, study.test_images[:ENCODED])
    shown = {"originals", "reconstructions"}
    noisy: dict[str, np.ndarray] = {}
    if study.has_labels:
        accuracies, noisy = measure_robustness(study, model, seed)
        metrics |= accuracies
        train_labels, test_labels = study.dataset.labels
        metrics["linear_probe"] = linear_probe_accuracy(
            train, train_labels[: len(train)], test, test_labels
        )
        for distance in ("fid_clf", "kid_clf"):
            metrics[f"{distance}_best"] = min(metrics[f"{distance}_{name}"] for name in SAMPLERS)
        shown.add(f"samples_{min(SAMPLERS, key=lambda name: metrics[f'fid_clf_{name}'])}")
    kept = {name: images for name, images in pictures.items() if name in shown}
    kept |= {name: images for name, images in noisy.items() if name.endswith(f"_{SHOWN_SIGMA}")}
    return metrics, kept | {
        "traversals": traversals(model.decode, train),
        "atlas": atlas(model.decode, train),
    }


def encode_milliseconds(model: Any, images: np.ndarray) -> float:
    """Median time of encoding per image, in milliseconds, over five calls on all images."""
    np.asarray(model.encode(images))  # compiles
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        np.asarray(model.encode(images))
        seconds.append(time.perf_counter() - started)
    return 1000 * float(np.median(seconds)) / len(images)
