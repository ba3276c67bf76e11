"""Directions are derivatives of the decoder; a threshold says which latents are active."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.galleries import dictionary
from tests.helpers.runs import untrained
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.gallery.comparison import match
from vae_topk_jax.gallery.directions import decoder_directions, layout, thresholds
from vae_topk_jax.metrics.recovery import mean_correlation


def test_directions_of_a_network_are_its_mean_derivatives(blobs):
    model = untrained(blobs, latent_dim=3, k=2)
    codes_NxD = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    def outputs(z_D):
        return model.model.apply(model.variables, z_D[None], method="decode").ravel()

    slope_NxFxD = jax.vmap(jax.jacrev(outputs))(jnp.asarray(codes_NxD))
    direction_DxF, sensitivity_D = decoder_directions(model, codes_NxD)
    np.testing.assert_allclose(direction_DxF, slope_NxFxD.mean(axis=0).T, rtol=1e-4, atol=1e-7)
    squared_NxD = jnp.square(slope_NxFxD).sum(axis=1)
    np.testing.assert_allclose(sensitivity_D, jnp.sqrt(squared_NxD.mean(axis=0)), rtol=1e-4)


def test_directions_of_a_dictionary_are_its_rows(blobs):
    model = dictionary(blobs.train_images, 8, standardize="feature")
    direction_DxF, norm_D = decoder_directions(model, np.zeros((1, 8), np.float32))
    moved = model.decode(np.eye(8, dtype=np.float32)) - model.decode(np.zeros((1, 8), np.float32))
    np.testing.assert_allclose(direction_DxF, np.reshape(moved, (8, -1)), atol=1e-5)
    np.testing.assert_allclose(norm_D, np.linalg.norm(direction_DxF, axis=1))
    np.testing.assert_allclose(thresholds(model), 0.3, rtol=1e-6)


@pytest.mark.parametrize("every", [0, 10])
def test_by_element_a_latent_is_active_from_its_threshold_on(blobs, every):
    model = untrained(blobs, selection="element", sensitivity_every=every)
    threshold_D = thresholds(model)
    x = to_unit_float(blobs.test_images)
    mu_NxD = np.asarray(model.latents(x))
    expected = np.where(np.abs(mu_NxD) >= threshold_D, mu_NxD, 0)
    np.testing.assert_array_equal(model.encode(x), expected)


def test_where_more_than_the_value_decides_there_is_no_threshold(blobs):
    assert thresholds(untrained(blobs)) is None
    assert thresholds(untrained(blobs, selection="sample")) is None
    assert thresholds(untrained(blobs, selection="element", score="signal_to_noise")) is None


def test_groups_of_directions_lie_together_on_the_map():
    rng = np.random.default_rng(0)
    centre_2xF = np.eye(2, 6) * 3
    rows = np.repeat(centre_2xF, 8, axis=0) + rng.normal(0, 0.1, (16, 6))
    place_Mx2 = layout(rows)
    assert place_Mx2.min() == 0
    assert place_Mx2.max() == 1
    gap = np.linalg.norm(place_Mx2[:, None] - place_Mx2[None], axis=2)
    assert gap[:8, :8].max() < gap[:8, 8:].min()


def test_the_mean_of_a_matching_is_the_mcc():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    found = match(ours, theirs)
    assert found.mean == pytest.approx(mean_correlation(ours, theirs))
    assert len(found.ours_P) == 3
