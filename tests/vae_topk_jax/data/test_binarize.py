"""Binary images: drawn with the probability that their grey gives, the same every time."""

import jax
import numpy as np
import pytest

from vae_topk_jax.data import DataError, to_unit_float
from vae_topk_jax.data.binarize import binarize, binarized


def test_pixels_are_drawn_with_the_probability_that_their_grey_says():
    grey = np.repeat(np.array([0, 1, 64, 128, 254, 255], np.uint8)[None], 40_000, axis=0)
    drawn = to_unit_float(binarize(grey, jax.random.key(0)))
    assert set(np.unique(drawn)) == {0, 1}
    expected = grey[0] / 255
    error = np.sqrt(expected * (1 - expected) / len(grey))
    assert np.all(np.abs(drawn.mean(0) - expected) <= 4 * error)
    np.testing.assert_array_equal(drawn, to_unit_float(binarize(grey, jax.random.key(0))))
    assert np.any(drawn != to_unit_float(binarize(grey, jax.random.key(1))))


def test_a_binarised_dataset_is_the_same_every_time_and_keeps_its_labels(blobs):
    data = binarized(blobs)
    assert data.digest == binarized(blobs).digest != binarized(blobs, seed=1).digest
    np.testing.assert_array_equal(data.train_labels, blobs.train_labels)
    blurred = np.abs(
        to_unit_float(data.test_images).mean() - to_unit_float(blobs.test_images).mean()
    )
    assert blurred < 0.01


def test_scaled_images_are_not_binarised():
    with pytest.raises(DataError, match=r"expected uint8 images in 0\.\.255, got float32"):
        binarize(np.zeros((1, 2, 2, 1), np.float32), jax.random.key(0))
