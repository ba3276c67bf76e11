"""What a model is given stays where it is: a chunk at a time goes to the device."""

import jax
import numpy as np
import pytest

from vae_topk_jax.inference_inputs import CHUNK, check_images, check_latents, in_chunks

SHAPE = (3, 3, 1)


@pytest.fixture
def images(tmp_path) -> np.memmap:
    values = np.random.default_rng(0).uniform(size=(3 * CHUNK + 5, *SHAPE))
    np.save(tmp_path / "images.npy", values)
    return np.load(tmp_path / "images.npy", mmap_mode="r")


def test_a_memory_map_stays_one(images):
    assert check_images(images, SHAPE, (0.0, 1.0)) is images
    codes = images.reshape(len(images), -1)
    assert check_latents(codes, codes.shape[1]) is codes


def test_one_chunk_is_on_the_device(images):
    largest = []

    def mean(chunk, start):
        largest.append(max(len(x) for x in jax.live_arrays() if x.shape[1:] == SHAPE))
        return chunk.mean(axis=(1, 2, 3))

    np.testing.assert_allclose(in_chunks(mean, images), images.mean(axis=(1, 2, 3)), rtol=1e-6)
    assert len(largest) == 4
    assert max(largest) == CHUNK


def test_arrays_of_the_device_and_of_the_host_give_the_same(images):
    def double(chunk, start):
        return 2 * chunk

    some = np.asarray(images[: CHUNK + 3], np.float32)
    np.testing.assert_array_equal(in_chunks(double, jax.numpy.asarray(some)), 2 * some)
    np.testing.assert_array_equal(in_chunks(double, some), 2 * some)


def test_a_bad_value_in_the_last_chunk_is_refused(images):
    bad = np.array(images)
    bad[-1, 0, 0, 0] = 255
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\], got .* to 255$"):
        check_images(bad, SHAPE, (0.0, 1.0))
