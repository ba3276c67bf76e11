"""Bounds of the likelihood of images under a trained dense VAE."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.study.keys import study_key
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
    apply: Callable[..., Any] = inference.model.apply
    return likelihood_bounds(
        functools.partial(apply, method="posterior"),
        functools.partial(apply, method=lambda vae, z_BxD: vae.decoder(z_BxD)),
        inference.variables,
        images,
        study_key(seed, "likelihood"),
        samples=samples,
    )
