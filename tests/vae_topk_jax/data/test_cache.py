"""What is decoded once, and texts that are remembered."""

import numpy as np
import pytest

from vae_topk_jax.data import DataError
from vae_topk_jax.data.cache import Block, decoded, remembered
from vae_topk_jax.files import CACHE_VARIABLE, cache_folder

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 3, 2, 1)


def blocks():
    yield Block(IMAGES[:1], np.array([7], np.int32))
    yield Block(IMAGES[:0], np.array([], np.int32))
    yield Block(IMAGES[1:], np.array([1, 2, 3], np.int32))


def test_blocks_are_decoded_once_and_mapped_from_then_on(tmp_path):
    first = decoded(tmp_path, "mine", "key", blocks, lambda: "two were left out")
    again = decoded(tmp_path, "mine", "key", lambda: pytest.fail("decoded again"))
    for kept in (first, again):
        np.testing.assert_array_equal(kept.images, IMAGES)
        assert kept.labels.tolist() == [7, 1, 2, 3]
        assert kept.notes == "two were left out"
    assert decoded(tmp_path, "mine", "other key", lambda: [Block(IMAGES)]).labels is None


def test_blocks_of_several_shapes_and_no_blocks_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(DataError, match=r"mine: expected shape \(3, 2, 1\) .* from example 4 on"):
        decoded(tmp_path, "mine", "key", lambda: [Block(IMAGES), Block(IMAGES[:, :2])])
    with pytest.raises(DataError, match="mine: expected some data, found none"):
        decoded(tmp_path, "mine", "key", list)
    assert not [*(tmp_path / "decoded").iterdir()]


def test_a_process_that_was_faster_is_not_in_the_way(tmp_path):
    def slow():
        decoded(tmp_path, "mine", "key", blocks)
        yield from blocks()

    np.testing.assert_array_equal(decoded(tmp_path, "mine", "key", slow).images, IMAGES)


def test_texts_are_remembered_where_the_cache_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    assert remembered("key", lambda: "text") == "text"
    assert remembered("key", lambda: pytest.fail("computed again")) == "text"
    assert remembered("", lambda: "without a key") == "without a key"
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert remembered("key", lambda: "computed") == "computed"
