"""Bounds of the likelihood of images under a trained dense VAE."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.study.keys import study_key
from experiments.study.planned import Measurement
from experiments.study.study import Study, Trained
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import Bounds, likelihood_bounds

SAMPLES = 500


def bounds(inference: Inference, images: np.ndarray, seed: int, samples: int = SAMPLES) -> Bounds:
    """`likelihood_bounds` of a trained model.

    Raises:
        ValueError: a model of another kind.
    """
    config = inference.config
    if config.system.is_sparse or config.likelihood != "bernoulli":
        raise ValueError(
            f"model must be a dense VAE with likelihood 'bernoulli', "
            f"got {config.model!r} with {config.likelihood!r}"
        )
    if not config.system.has_noise:
        raise ValueError(f"model must have a posterior, got objective {config.objective!r}")
    apply: Callable[..., Any] = inference.model.apply
    return likelihood_bounds(
        functools.partial(apply, method="posterior"),
        functools.partial(apply, method=lambda vae, z_BxD: vae.decoder(z_BxD)),
        inference.variables,
        images,
        study_key(seed, "likelihood"),
        samples=samples,
    )


def measured_bounds(study: Study, trained: Trained) -> Measurement:
    """The means of the bounds over the study's test images, as many as its budget has samples."""
    images = study.test_images[: study.budget.samples]
    found = bounds(trained.inference, images, trained.inference.config.seed, SAMPLES)
    metrics = {
        "elbo": float(found.elbo_N.mean()),
        "importance_bound": float(found.importance_N.mean()),
        "rate": float(found.kl_N.mean()),
    }
    return Measurement(metrics, None, trained.history)
