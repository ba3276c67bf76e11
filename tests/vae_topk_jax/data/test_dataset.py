"""The dataset itself, and its images as floats."""

import jax
import numpy as np
import pytest

from tests.helpers.datasets import small_dataset
from vae_topk_jax.data import DataError, to_unit_float


class TestDataset:
    def test_properties(self):
        data = small_dataset()
        assert data.image_shape == (4, 3, 1)
        assert data.num_classes == 4
        assert data.describe() == {"source": "by hand", "train": 6, "test": 2}

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"train_images": np.zeros((6, 4, 3, 1))}, "train images must be uint8 or float32"),
            ({"test_images": np.zeros((2, 4, 3), np.uint8)}, "test images must be uint8"),
            ({"train_labels": np.zeros(6, np.int64)}, "train labels must be int32"),
            ({"test_labels": np.zeros((2, 1), np.int32)}, "test labels must be int32"),
            ({"train_labels": np.zeros(5, np.int32)}, "5 train labels for 6 train images"),
            ({"test_labels": np.array([0, -1], np.int32)}, "must not be negative, got -1"),
            ({"test_images": np.zeros((2, 3, 4, 1), np.uint8)}, "must agree"),
            (
                {
                    "test_images": np.zeros((0, 4, 3, 1), np.uint8),
                    "test_labels": np.zeros(0, np.int32),
                },
                "test split is empty",
            ),
        ],
    )
    def test_unfit_arrays_are_refused(self, changes: dict, expected: str):
        with pytest.raises(DataError, match=expected):
            small_dataset(**changes)

    def test_digest_depends_on_every_array_and_shape_alone(self):
        data = small_dataset()
        again = small_dataset(name="other", source="elsewhere")
        transposed_memory = small_dataset(train_images=np.asfortranarray(data.train_images))
        assert data.digest == again.digest == transposed_memory.digest
        reshaped = {
            f"{split}_images": getattr(data, f"{split}_images").reshape(-1, 3, 4, 1)
            for split in ("train", "test")
        }
        others = [small_dataset(**reshaped)]
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            changed = getattr(data, field).copy()
            changed.flat[-1] += 1
            others.append(small_dataset(**{field: changed}))
        assert len({data.digest, *(other.digest for other in others)}) == 6

    def test_arrays_cannot_change_under_the_digest(self):
        mine = np.zeros((6, 4, 3, 1), np.uint8)
        data = small_dataset(train_images=mine)
        with pytest.raises(ValueError, match="read-only"):
            data.train_images[0] = 1
        mine[0] = 1  # the caller's own array stays usable

    @pytest.mark.parametrize(
        ("train", "test", "expected"),
        [
            (None, None, (6, 2)),
            (100, 2, (6, 2)),
            (4, None, (4, 2)),
            (None, 1, (6, 1)),
            (3, 1, (3, 1)),
        ],
    )
    def test_limit_keeps_the_first_and_says_so(self, train, test, expected: tuple[int, int]):
        data = small_dataset()
        cut = data.limit(train, test)
        num_train, num_test = expected
        np.testing.assert_array_equal(cut.train_images, data.train_images[:num_train])
        np.testing.assert_array_equal(cut.train_labels, data.train_labels[:num_train])
        np.testing.assert_array_equal(cut.test_images, data.test_images[:num_test])
        np.testing.assert_array_equal(cut.test_labels, data.test_labels[:num_test])
        said = f"by hand, first {num_train} train and {num_test} test images"
        assert cut.source == ("by hand" if expected == (6, 2) else said)

    @pytest.mark.parametrize("count", [0, -1])
    def test_limit_refuses_to_keep_nothing(self, count: int):
        with pytest.raises(DataError, match="at least one"):
            small_dataset().limit(test=count)


class TestToUnitFloat:
    def test_every_byte(self):
        values = to_unit_float(np.arange(256, dtype=np.uint8))
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, (np.arange(256) / 255).astype(np.float32))

    def test_inside_jit(self):
        images = np.arange(256, dtype=np.uint8).reshape(16, 16)
        np.testing.assert_allclose(jax.jit(to_unit_float)(images), to_unit_float(images), rtol=1e-6)

    @pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int8, bool])
    def test_anything_but_bytes_is_refused(self, dtype):
        with pytest.raises(DataError, match="expected uint8"):
            to_unit_float(np.zeros(3, dtype))
