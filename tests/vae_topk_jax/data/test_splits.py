"""What is held out, what is kept, and which options say so."""

import numpy as np
import pytest

from tests.helpers.datasets import small_dataset
from vae_topk_jax.data import DataError, DataOptions
from vae_topk_jax.data.splits import Found, Split, limited, to_dataset

IMAGES = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
FOUND = Found("mine", "by hand", Split(IMAGES, np.arange(100, dtype=np.int32)))


def numbers(images) -> list[int]:
    return np.asarray(images).ravel().tolist()


@pytest.mark.parametrize(("fraction", "held"), [(None, 10), (0.25, 25), (0.001, 1)])
def test_a_part_is_held_out_once_and_with_its_labels(fraction, held):
    data = to_dataset(FOUND, DataOptions(test_fraction=fraction))
    train, test = numbers(data.train_images), numbers(data.test_images)
    assert len(test) == held
    assert sorted(train + test) == [*range(100)]
    assert data.train_labels.tolist() == train
    assert data.test_labels.tolist() == test
    assert data.source == f"by hand, {held} of 100 held out (seed 0)"


def test_the_seed_decides_what_is_held_out():
    drawn = [
        numbers(to_dataset(FOUND, DataOptions(split_seed=seed)).test_images) for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_limit_draws_from_both_splits():
    data = to_dataset(FOUND, DataOptions(limit=8))
    whole = to_dataset(FOUND, DataOptions())
    assert (len(data.train_images), len(data.test_images)) == (8, 8)
    assert {*numbers(data.train_images)} < {*numbers(whole.train_images)}
    assert data.source.endswith("held out (seed 0), 8 train and 8 test examples drawn (seed 0)")
    assert numbers(to_dataset(FOUND, DataOptions(limit=99)).train_images) == numbers(
        whole.train_images
    )


def test_data_with_a_test_split_keep_it():
    data = limited(small_dataset(), DataOptions(limit=4))
    assert data.describe() == {
        "source": "by hand, 4 train and 2 test examples drawn (seed 0)",
        "train": 4,
        "test": 2,
    }
    with pytest.raises(DataError, match="test_fraction is for data without a test split, which by"):
        limited(small_dataset(), DataOptions(test_fraction=0.5))
    with pytest.raises(DataError, match="split_seed changes nothing of by hand"):
        limited(small_dataset(), DataOptions(split_seed=1))


def test_validation_images_are_taken_from_the_training_ones_by_seed():
    whole = to_dataset(FOUND, DataOptions())
    drawn = [limited(whole, DataOptions(validation=20, split_seed=seed)) for seed in (0, 0, 1)]
    train, measured = numbers(drawn[0].train_images), numbers(drawn[0].test_images)
    assert (len(train), len(measured)) == (70, 20)
    assert sorted(train + measured) == numbers(whole.train_images)
    assert drawn[0].test_labels.tolist() == measured
    assert measured == numbers(drawn[1].test_images) != numbers(drawn[2].test_images)
    assert drawn[0].digest == drawn[1].digest != whole.digest
    assert drawn[0].describe() == {
        "source": "by hand, 10 of 100 held out (seed 0), "
        "20 of 90 training examples held out for validation (seed 0)",
        "train": 70,
        "test": 20,
        "measured": "validation",
    }
    fewer = limited(whole, DataOptions(validation=20, limit=8))
    assert {*numbers(fewer.test_images)} < {*measured}
    assert fewer.limit(train=3).measured == "validation"


def test_validation_leaves_something_to_train_on():
    with pytest.raises(DataError, match="cannot hold out 6 of 6 examples for validation"):
        limited(small_dataset(), DataOptions(validation=6))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0}, "validation must be at least 1, got 0"),
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"limit": -1}, "limit must be at least 1, got -1"),
        ({"colour": "red"}, "colour must be 'grey' or 'rgb', got 'red'"),
        ({"test_fraction": 1.0}, "test_fraction must lie between 0 and 1, got 1.0"),
        ({"test_fraction": float("nan")}, "test_fraction must lie between 0 and 1, got nan"),
        ({"split_seed": -1}, "split_seed must be at least 0, got -1"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(DataError, match=message):
        DataOptions(**options)


def test_options_come_back_from_what_is_saved():
    options = DataOptions(image_size=9, colour="grey", skip_broken=True, test_fraction=0.5)
    assert DataOptions.from_saved({"data": "x"} | options.given) == options
    with pytest.raises(DataError, match="image_size must be of type int, got '9'"):
        DataOptions.from_saved({"image_size": "9"})


def test_labels_may_be_missing_and_are_asked_for_by_name():
    data = to_dataset(Found("mine", "by hand", Split(IMAGES)), DataOptions())
    assert data.train_labels is data.test_labels is None
    assert data.limit(train=3).train_labels is None
    for needs in ("labels", "num_classes"):
        with pytest.raises(DataError, match=r"by hand, .*: there are no labels, which are needed"):
            getattr(data, needs)
    with pytest.raises(DataError, match="labels must be given of both splits or of none"):
        small_dataset(test_labels=None)


def test_floating_images_have_a_digest_of_their_own():
    zeros = np.zeros((6, 4, 3, 1), np.float32)
    splits = {"train_images": zeros, "test_images": zeros[:2]}
    floating = small_dataset(**splits)
    as_bytes = small_dataset(**{name: array.astype(np.uint8) for name, array in splits.items()})
    assert floating.digest != as_bytes.digest
    with pytest.raises(DataError, match="train images are uint8, test images float32"):
        small_dataset(test_images=zeros[:2])
