"""Reconstruction and generation: what a row of Table 1 measures of its model."""

from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from experiments.records.pictures import to_uint8
from experiments.study.keys import study_key
from experiments.study.study import PICTURES, Study
from vae_topk_jax.metrics import feature_distances, reconstruction_metrics
from vae_topk_jax.priors.mixture import Mixture
from vae_topk_jax.priors.patterns import Patterns
from vae_topk_jax.priors.prior import Examples


class Autoencoder(Protocol):
    """What a row needs of its model."""

    @property
    def active_dims(self) -> np.ndarray: ...

    def encode(self, x: Any) -> Any: ...
    def latents(self, x: Any) -> Any: ...
    def sparsify(self, z: Any) -> Any: ...
    def decode(self, z: Any) -> Any: ...
    def generate(self, key: jax.Array, n: int) -> Any: ...


def measure_model(
    study: Study, model: Autoencoder, seed: int, inception_weights: Path | None = None
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The metrics of one row of Table 1 and the pictures that go with it."""
    test = study.test_images
    codes = np.asarray(model.encode(test))
    reconstructed = _clipped(model.decode(codes))
    metrics = reconstruction_metrics(reconstructed, test)
    metrics["active_dims"] = len(model.active_dims)
    metrics["active_latents"] = float(np.mean(np.sum(codes != 0, axis=1)))
    pictures = {"originals": test[:PICTURES], "reconstructions": reconstructed[:PICTURES]}

    n = min(study.budget.samples, len(test))
    train = study.train_images[: study.budget.mixture_codes]
    examples, key = Examples.of(model.encode(train), model.latents(train)), jax.random.key(seed)
    class_N = jnp.zeros(n, jnp.int32)
    patterns = Patterns.fit(examples, key).sample(study_key(seed, "patterns"), class_N)
    mixture = Mixture.fit(examples, key).sample(study_key(seed, "mixture"), class_N)
    samples = {
        "prior": model.generate(study_key(seed, "prior"), n),
        "patterns": model.decode(patterns),
        "mixture": model.decode(model.sparsify(mixture)),
    }
    for sampler, images in samples.items():
        images = _clipped(images)
        if study.has_labels:
            metrics |= {f"{n}_{sampler}": x for n, x in distances(study, images).items()}
        pictures[f"samples_{sampler}"] = images[: 2 * PICTURES]
        if inception_weights is not None:
            from vae_topk_jax.metrics.inception import inception_fid

            metrics[f"inception_fid_{sampler}"] = inception_fid(
                to_uint8(images), study.dataset.test_images, inception_weights
            )
    return metrics, pictures


def distances(study: Study, images: np.ndarray) -> dict[str, float]:
    """FID-clf and KID-clf to the test images by the study's classifier, and with more than one, the
    standard deviation of FID-clf over them as "fid_clf_sd"."""
    found = [
        feature_distances(judge.probe.features(images), judge.test_features)
        for judge in study.judges
    ]
    if len(found) == 1:
        return found[0]
    return found[0] | {"fid_clf_sd": float(np.std([x["fid_clf"] for x in found], ddof=1))}


def _clipped(images: Any) -> np.ndarray:
    """Images in [0, 1], of which a linear decoder knows nothing."""
    return np.clip(np.asarray(images), 0.0, 1.0)


def settings(study: Study) -> dict[str, Any]:
    """What the metrics of `measure_model` depend on, besides the model."""
    names = ("samples", "mixture_codes", "classifiers")
    return {name: getattr(study.budget, name) for name in names} | {"mixture": "held out"}
