"""What is measured of a prior: images of its codes, and the codes themselves."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from experiments.measures.generation import distances
from experiments.measures.nearest import nearest
from experiments.study.keys import study_key
from experiments.study.planned import Measurement
from experiments.study.study import PICTURES, Study
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import reconstruction_metrics
from vae_topk_jax.metrics.manifold import precision_recall
from vae_topk_jax.metrics.sparsity import active_latents, support_differences
from vae_topk_jax.priors.registry import OWN
from vae_topk_jax.training_inputs import labels_of

_SHOWN = PICTURES
_COMPARED = 1_000  # images, with all training images


class Floor(NamedTuple):
    """A model's own reconstructions of training images: what no prior of it should beat.

    Attributes:
        measurement: of these images.
        train_codes_NxD: codes of all training images.
        novelty: mean distance of reconstructions of images that are not trained on from the
            training image nearest to each.
    """

    measurement: Measurement
    train_codes_NxD: np.ndarray
    novelty: float

    @classmethod
    def of(cls, study: Study, model: Inference) -> Self:
        """The floor of a model, with its quality on images that are not trained on."""
        train, test = _labels(study, model)
        codes_NxD = np.asarray(model.encode(study.train_images, label=train))
        order_N = np.random.default_rng(0).permutation(len(codes_NxD))[: _count(study)]
        label_N = None if train is None else train[order_N]
        images = _clipped(model.decode(codes_NxD[order_N], label=label_N))
        reconstructed = _clipped(model.reconstruct(study.test_images, label=test))
        metrics = reconstruction_metrics(reconstructed, study.test_images)
        metrics |= _of_images(study, images, label_N)
        metrics |= {"active_latents": active_latents(codes_NxD)}
        _, novelty = _nearest(reconstructed, study.train_images)
        return cls(Measurement(metrics), codes_NxD, novelty)


def measure_prior(
    study: Study, model: Inference, floor: Floor, name: str, settings: Mapping[str, Any]
) -> Measurement:
    """The metrics of a prior that is fitted to the codes of all training images, and pictures of
    its first images with the training images nearest to them. A model with classes is asked for
    each of them in turn.

    Args:
        study: images, judges and the number of samples.
        model: whose codes the prior is fitted to.
        floor: of the model.
        name: of the prior; "frequency" for the system's own.
        settings: that it is fitted with.
    """
    seed, metrics = model.config.seed, dict[str, float]()
    if name != OWN:
        started = time.perf_counter()
        key, label = study_key(seed, f"prior {name}"), _labels(study, model)[0]
        fitted = model.fit_prior(study.train_images, name, label=label, key=key, **settings)
        jax.block_until_ready(fitted)
        metrics["seconds_fit"] = time.perf_counter() - started
        metrics["pixel_distance"] = model.priors.fitted[name].distance
    started = time.perf_counter()
    classes = labels_of(model.config).classes
    label_N = np.arange(_count(study)) % classes if classes else None
    drawn = model.sample_codes(study_key(seed, "samples"), _count(study), name, label=label_N)
    codes_NxD = np.asarray(drawn)
    metrics["seconds_sample"] = time.perf_counter() - started
    images = _clipped(model.decode(codes_NxD, label=label_N))
    metrics |= _of_images(study, images, label_N) | support_differences(
        codes_NxD, floor.train_codes_NxD
    )
    metrics["active_latents"] = active_latents(codes_NxD)
    metrics["fid_over_floor"] = metrics["fid_clf"] / floor.measurement.metrics["fid_clf"]
    index_N, novelty = _nearest(images, study.train_images)
    metrics["novelty"] = novelty / floor.novelty
    shown = {"generated": images[:_SHOWN], "nearest": study.train_images[index_N[:_SHOWN]]}
    return Measurement(metrics, shown)


def _nearest(images: np.ndarray, train_images: np.ndarray) -> tuple[np.ndarray, float]:
    """Which training image is the nearest to each of the first images, and the mean distance."""
    rows, bank = (x.reshape(len(x), -1) for x in (images[:_COMPARED], train_images))
    index_N, squared_N = nearest(rows, bank)
    return index_N, float(np.mean(np.sqrt(np.maximum(squared_N, 0.0))))


def _labels(study: Study, model: Inference) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Of the training and of the test images, for a model with classes."""
    return study.dataset.labels if labels_of(model.config) else (None, None)


def _of_images(study: Study, images: np.ndarray, label_N: np.ndarray | None) -> dict[str, float]:
    first = study.judges[0]
    found = distances(study, images)
    found |= precision_recall(first.test_features, first.probe.features(images))._asdict()
    if label_N is not None:
        found["asked"] = first.probe.accuracy(images, label_N)
    return found


def _count(study: Study) -> int:
    return min(study.budget.samples, len(study.test_images))


def _clipped(images: Any) -> np.ndarray:
    return np.clip(np.asarray(images), 0.0, 1.0)
