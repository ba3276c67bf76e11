"""The meta-SAE finds the atoms that directions are sums of."""

import numpy as np
import pytest

from experiments.measures.dictionaries import sae_metrics, train_on
from experiments.stitch import meta_config
from experiments.study.bar import RowsBar
from vae_topk_jax.metrics import explained_variance
from vae_topk_jax.models.meta_sae import decoder_directions
from vae_topk_jax.runs.inputs import Inputs

ATOMS, DIRECTIONS, F = 12, 256, 16


@pytest.fixture(scope="module")
def params() -> dict[str, np.ndarray]:
    """Directions that are sums of four of twelve atoms."""
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(ATOMS, F))
    weights = np.zeros((DIRECTIONS, ATOMS))
    for row in weights:
        row[rng.choice(ATOMS, 4, replace=False)] = rng.uniform(0.5, 1.0, 4)
    return {"W_dec": (weights @ atoms).astype(np.float32)}


def test_directions_have_length_1_and_the_latents_that_were_asked_for(params):
    directions = decoder_directions(params, np.array([3, 5]))
    assert directions.shape == (2, 1, 1, F)
    assert directions.dtype == np.float32
    expected = params["W_dec"][[3, 5]]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(directions[:, 0, 0], expected, rtol=1e-6)
    assert len(decoder_directions(params)) == DIRECTIONS


def test_the_configuration_is_the_papers_unless_told_otherwise():
    config = meta_config(64, batch_size=32, k=3)
    assert (config.latent_dim, config.k, config.batch_size) == (64, 3, 32)
    assert (config.learning_rate, config.aux_weight, config.dead_after) == (1e-4, 1 / 16, 3200)


@pytest.mark.long
def test_it_explains_the_directions_by_four_meta_latents_each(params):
    directions = decoder_directions(params)
    about = {"source": "directions", "train": DIRECTIONS, "test": DIRECTIONS}
    config = meta_config(ATOMS, batch_size=64, epochs=300, learning_rate=3e-3, schedule="cosine")
    model = train_on(Inputs(directions, directions, about, ""), config, RowsBar())
    metrics = sae_metrics(model, directions)
    assert metrics["explained_variance"] > 0.8
    np.testing.assert_allclose(metrics["active_latents"], 4, rtol=0.05)
    reconstructions = model.reconstruct(directions)
    assert metrics["explained_variance"] == explained_variance(directions, reconstructions)


def test_explained_variance_needs_something_to_explain():
    with pytest.raises(ValueError, match="x must vary from example to example, got 3 equal ones"):
        explained_variance(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"x_hat must have the shape of x, \(3, 2\), got \(2, 3\)"):
        explained_variance(np.ones((3, 2)), np.ones((2, 3)))
