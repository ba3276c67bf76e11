"""Shift and scale of the inputs, against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax import standardization
from vae_topk_jax.standardization import Standardization, moments, shift_and_scale

RULES = ["none", "mean", "norm", "feature", "channel"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Float32, far from zero beside their spread, in which float32 sums would be off."""
    rng = np.random.default_rng(0)
    return rng.normal(1000, [0.5, 2, 10], (301, 3, 2, 3)).astype(np.float32)


def standardised(images: np.ndarray, rule: standardization.Rule) -> np.ndarray:
    found = shift_and_scale(images, rule)
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    assert {value.shape for value in found.values()} == {images.shape[1:]}
    return (images.astype(np.float64) - found["shift"]) / found["scale"]


@pytest.mark.parametrize("rows", [1, 7, 300, 10_000])
def test_moments_are_those_of_numpy_however_the_split_is_cut(images, rows, monkeypatch):
    monkeypatch.setattr(standardization, "_CHUNK", rows * images[0].size)
    found = moments(images)
    np.testing.assert_allclose(found.mean_HxWxC, images.mean(0, np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.variance_HxWxC, images.astype(np.float64).var(0), rtol=1e-9)


def test_each_rule_does_what_its_name_says(images):
    exact = images.astype(np.float64)
    np.testing.assert_array_equal(standardised(images, "none"), exact)
    centred = standardised(images, "mean")
    np.testing.assert_allclose(centred.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(centred.std(0), exact.std(0), rtol=1e-6)
    norms = np.square(standardised(images, "norm")).sum((1, 2, 3))
    np.testing.assert_allclose(norms.mean(), 1, rtol=1e-6)
    by_feature = standardised(images, "feature")
    np.testing.assert_allclose(by_feature.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(by_feature.std(0), 1, rtol=1e-6)
    by_channel = standardised(images, "channel")
    np.testing.assert_allclose(by_channel.mean((0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(by_channel.std((0, 1, 2)), 1, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_bytes_count_in_0_to_1(rule):
    images = np.random.default_rng(1).integers(0, 256, (40, 2, 2, 3), np.uint8)
    found, expected = shift_and_scale(images, rule), shift_and_scale(np.float32(images) / 255, rule)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("rule", RULES)
def test_what_does_not_vary_is_not_scaled(rule):
    for value in (0.0, 0.1):
        images = np.full((7, 1, 1, 3), value, np.float32)
        assert np.isfinite(standardised(images, rule)).all()
        if rule in ("feature", "channel"):
            np.testing.assert_array_equal(shift_and_scale(images, rule)["scale"], 1)
            np.testing.assert_array_equal(standardised(images, rule), 0)


def test_a_memory_map_is_read_in_parts(images, tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", images)
    monkeypatch.setattr(standardization, "_CHUNK", 10 * images[0].size)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_allclose(moments(mapped).mean_HxWxC, images.mean(0, np.float64), rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(images, value):
    spoilt = images.copy()
    spoilt[200, 1, 1, 1] = value
    with pytest.raises(ValueError, match="images must be finite to be standardised, got NaN or"):
        shift_and_scale(spoilt, "feature")
    with pytest.raises(ValueError, match="images must have at least one example"):
        shift_and_scale(images[:0], "feature")


@pytest.mark.parametrize("rule", RULES)
def test_undo_is_the_inverse(images, rule):
    variables = {"batch_stats": shift_and_scale(images, rule)}
    layer = Standardization(images.shape[1:])
    y = layer.apply(variables, jnp.asarray(images))
    np.testing.assert_allclose(y, standardised(images, rule), rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(layer.apply(variables, y, method="undo"), images, rtol=1e-6)
