"""Where a likelihood is refused."""

import types
from typing import Any

import numpy as np
import pytest

from experiments.measures.likelihood import bounds
from vae_topk_jax.config import Config


@pytest.mark.parametrize("model", ["beta_vae", "top_k_vae"])
def test_a_likelihood_is_refused_where_it_would_not_be_one(model):
    likelihood = "gaussian" if model == "beta_vae" else "bernoulli"
    inference: Any = types.SimpleNamespace(config=Config(model=model, likelihood=likelihood))
    message = f"model must be a dense VAE with likelihood 'bernoulli', got '{model}'"
    with pytest.raises(ValueError, match=message):
        bounds(inference, np.zeros((1, 12, 12, 1)), seed=0)


def test_a_model_without_noise_has_no_posterior_to_draw_from():
    config = Config(model="beta_vae", likelihood="bernoulli", objective="rae")
    inference: Any = types.SimpleNamespace(config=config)
    with pytest.raises(ValueError, match="model must have a posterior, got objective 'rae'"):
        bounds(inference, np.zeros((1, 12, 12, 1)), seed=0)
