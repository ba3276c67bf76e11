"""Pictures in JSON."""

import json

import numpy as np
import pytest

from experiments.records.pictures import decode_images, encode_images


def test_pictures_survive_encoding():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)
    encoded = json.loads(json.dumps(encode_images(images)))
    np.testing.assert_array_equal(decode_images(encoded), images)


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4, 1)), np.zeros((4, 4, 1), np.uint8)])
def test_only_uint8_batches_are_pictures(images):
    with pytest.raises(ValueError, match="want uint8 images"):
        encode_images(images)
