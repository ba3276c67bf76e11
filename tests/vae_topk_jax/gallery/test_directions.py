"""Directions are derivatives of the decoder; a threshold says which latents are active."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.galleries import dictionary
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.gallery.comparison import match
from vae_topk_jax.gallery.directions import decoder_directions, layout, thresholds
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics.recovery import mean_correlation


def test_directions_of_a_network_are_its_mean_derivatives(model):
    codes_NxD = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    step_DxNxD = 1e-2 * np.eye(8, dtype=np.float32)[:, None] + np.zeros((1, 4, 1), np.float32)
    ends = [
        np.asarray(model.decode((codes_NxD + sign * step_DxNxD).reshape(-1, 8)), np.float64)
        for sign in (1, -1)
    ]
    slope_DxNxF = (ends[0] - ends[1]).reshape(8, 4, -1) / 2e-2
    direction_DxF, sensitivity_D = decoder_directions(model, codes_NxD)
    largest = np.abs(direction_DxF).max()
    np.testing.assert_allclose(direction_DxF, slope_DxNxF.mean(axis=1), atol=1e-2 * largest)
    squared_D = np.square(slope_DxNxF).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(sensitivity_D, np.sqrt(squared_D), rtol=1e-2)


def test_directions_of_a_dictionary_are_its_rows(blobs):
    model = dictionary(blobs.train_images, 8, standardize="feature")
    direction_DxF, norm_D = decoder_directions(model, np.zeros((1, 8), np.float32))
    moved = model.decode(np.eye(8, dtype=np.float32)) - model.decode(np.zeros((1, 8), np.float32))
    np.testing.assert_allclose(direction_DxF, np.reshape(moved, (8, -1)), atol=1e-5)
    np.testing.assert_allclose(norm_D, np.linalg.norm(direction_DxF, axis=1))
    np.testing.assert_allclose(thresholds(model), 0.3, rtol=1e-6)


def test_by_element_a_latent_is_active_from_its_threshold_on(model, blobs):
    threshold_D = thresholds(model)
    assert len(set(threshold_D)) == 8
    x = to_unit_float(blobs.test_images)
    mu_NxD = np.asarray(model.latents(x))
    expected = np.where(np.abs(mu_NxD) >= threshold_D, mu_NxD, 0)
    np.testing.assert_array_equal(model.encode(x), expected)


@pytest.mark.parametrize(
    "changes", [{"selection": "dimension"}, {"selection": "sample"}, {"score": "signal_to_noise"}]
)
def test_where_more_than_the_value_decides_there_is_no_threshold(model, changes):
    info = dataclasses.replace(model.info, config=model.config.replace(**changes))
    assert thresholds(Inference(model.state, info, copy=False)) is None


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
