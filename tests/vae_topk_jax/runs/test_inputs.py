"""What a model is trained on: images, or activations of another model."""

import types

import numpy as np
import pytest

from vae_topk_jax.config import Config
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.runs.inputs import load_inputs


def fake_probe(dataset):
    """A digit classifier with three features."""

    def features(images: np.ndarray) -> np.ndarray:
        return to_unit_float(images).mean(axis=(1, 3))[:, :3]

    return types.SimpleNamespace(features=features)


def test_pixels_are_the_images_themselves(blobs):
    inputs = load_inputs("pixels", blobs)
    assert inputs.are_images
    assert inputs.train is blobs.train_images
    assert (inputs.about, inputs.digest) == (blobs.describe(), blobs.digest)
    np.testing.assert_array_equal(inputs.float_test, to_unit_float(blobs.test_images))


def test_the_probes_features_are_vectors(blobs):
    inputs = load_inputs("probe", blobs, fake_probe)
    assert inputs.train.shape == (512, 1, 1, 3)
    assert inputs.train.dtype == inputs.test.dtype == np.float32
    np.testing.assert_array_equal(
        inputs.test[:, 0, 0], fake_probe(blobs).features(blobs.test_images)
    )
    assert inputs.about["inputs"] == "penultimate layer of the digit classifier"
    assert inputs.digest == load_inputs("probe", blobs, fake_probe).digest != blobs.digest


def test_activations_are_for_models_that_take_any_value(blobs):
    inputs = load_inputs("probe", blobs, fake_probe)
    with pytest.raises(ValueError, match="model must be batch_topk_sae for vectors, got 'vae'"):
        inputs.info(Config(model="vae"))
    assert inputs.info(Config(model="batch_topk_sae")).image_shape == (1, 1, 3)


def test_an_unknown_name_is_refused(blobs):
    with pytest.raises(ValueError, match=r"inputs must be 'pixels', 'probe' or .*'pixel'"):
        load_inputs("pixel", blobs)
