"""The model that the tests of this folder look at."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.runs import untrained
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.inference import Inference


@pytest.fixture(scope="package")
def model(blobs) -> Inference:
    """By element, with random weights and a threshold that about half of the entries reach."""
    model = untrained(blobs, selection="element", sensitivity_every=10)
    size = np.abs(np.asarray(model.latents(to_unit_float(blobs.test_images))))
    stats = model.state.batch_stats
    kept = stats["batch_top_k"] | {"threshold": jnp.float32(np.median(size))}
    state = dataclasses.replace(model.state, batch_stats=stats | {"batch_top_k": kept})
    return Inference(state, model.info)
