"""What a model is trained on: images, or activations of another model."""

import types
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.runs import untrained
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.config import Config
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.models import MODELS
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


def test_a_hidden_layer_of_floats_is_that_of_their_bytes(blobs, tmp_path):
    model = untrained(blobs)
    save_checkpoint(tmp_path, model.state, model.info)
    splits = "train_images", "test_images"
    floats = {name: to_unit_float(getattr(blobs, name)) for name in splits}
    layers = [load_inputs(str(tmp_path), data) for data in (blobs, replace(blobs, **floats))]
    assert layers[0].train.shape == (512, 1, 1, 32)
    np.testing.assert_array_equal(*(layer.train for layer in layers))


@pytest.mark.parametrize("model", MODELS)
def test_activations_are_for_every_model(blobs, model):
    inputs = load_inputs("probe", blobs, fake_probe)
    assert inputs.info(Config(model=model)).trainer.image_shape == (1, 1, 3)


@pytest.mark.parametrize("body", ["conv", "resnet"])
def test_vectors_are_not_for_convolutions(blobs, body):
    inputs = load_inputs("probe", blobs, fake_probe)
    with pytest.raises(ValueError, match=f"body must be 'mlp' or 'residual' for .*, got '{body}'"):
        _ = inputs.info(Config(body=body)).trainer


def test_an_unknown_name_is_refused(blobs):
    with pytest.raises(ValueError, match=r"inputs must be 'pixels', 'probe' or .*'pixel'"):
        load_inputs("pixel", blobs)
