"""From what a door has found to a dataset: what is held out, and how much is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_topk_jax.data.dataset import Dataset, Measured
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.factors import Factors
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.rows import Images, in_memory, select

TEST_FRACTION, MOST_TEST = 0.1, 10_000
# The streams of random numbers that are drawn from; 0 and 1 are those of the limit.
_VALIDATION, _WEIGHTS = 2, 3


class Split(NamedTuple):
    """One split: images, int32 labels (N,) or None, numbers of the factors' values or None."""

    images: Images
    labels: np.ndarray | None = None
    factors: np.ndarray | None = None

    def select(self, index: np.ndarray) -> Split:
        """The examples of these numbers."""
        labels, factors = (None if x is None else x[index] for x in (self.labels, self.factors))
        return Split(select(self.images, index), labels, factors)


class Found(NamedTuple):
    """What a door gives.

    Attributes:
        name: short name.
        source: where it came from, without an absolute path.
        train: all of it, or the training split.
        test: the test split; None: part of `train` is held out.
        factors: of the images; None: not known.
        weight_N: the probability with which each example of `train` that is not held out stays in
            the training split; None: all do.
    """

    name: str
    source: str
    train: Split
    test: Split | None = None
    factors: Factors | None = None
    weight_N: np.ndarray | None = None


def to_dataset(found: Found, options: DataOptions) -> Dataset:
    """The dataset, with a test split, `options.limit` examples at most, in the memory if it fits.

    Raises:
        DataError: too few examples to hold one out, a test fraction for data that have a test
            split, or parts that do not fit together.
    """
    test, source = found.test, found.source
    measured: Measured = "test"
    kept = np.arange(len(found.train.images))
    if test is None:
        kept, held = _hold_out(found, options)
        test = found.train.select(held)
        source += f", {len(held)} of {len(found.train.images)} held out (seed {options.split_seed})"
    else:
        _refuse_unused(source, options)
    if found.weight_N is not None:
        kept = _thinned(kept, found, options)
    if options.validation is not None:
        measured, size = "validation", len(kept)
        rng = np.random.default_rng([options.split_seed, _VALIDATION])
        kept, held = _split(kept, options.validation, rng, source, "for validation")
        test = found.train.select(held)
        source += f", {options.validation:,} of {size:,} training examples held out for validation"
        source += f" (seed {options.split_seed})"
    train = found.train.select(kept) if len(kept) < len(found.train.images) else found.train
    train, test = (_drawn(split, options, number) for number, split in enumerate((train, test)))
    if options.limit is not None:
        source += f", {len(train.images)} train and {len(test.images)} {measured} examples drawn"
        source += f" (seed {options.split_seed})"
    return Dataset(
        name=found.name,
        source=source,
        train_images=in_memory(train.images),
        train_labels=train.labels,
        test_images=in_memory(test.images),
        test_labels=test.labels,
        factors=found.factors,
        train_factors=train.factors,
        test_factors=test.factors,
        measured=measured,
    )


def limited(dataset: Dataset, options: DataOptions) -> Dataset:
    """The examples of a dataset that `options` leaves, and those that are measured on.

    Raises:
        DataError: a test fraction, which is for data without a test split; too few examples to hold
            that many out.

    Examples:
        >>> images, labels = np.zeros((6, 8, 8, 1), np.uint8), np.arange(6, dtype=np.int32)
        >>> data = Dataset("tiny", "made by hand", images, labels, images[:2], labels[:2])
        >>> limited(data, DataOptions(validation=1)).measured
        'validation'
    """
    whole = Found(
        dataset.name,
        dataset.source,
        Split(dataset.train_images, dataset.train_labels, dataset.train_factors),
        Split(dataset.test_images, dataset.test_labels, dataset.test_factors),
        dataset.factors,
    )
    return dataset if not options.given else to_dataset(whole, options)


def _hold_out(found: Found, options: DataOptions) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the examples that are kept, and of those that are held out for the test."""
    size = len(found.train.images)
    fraction = options.test_fraction
    held = min(round(TEST_FRACTION * size), MOST_TEST) if fraction is None else fraction * size
    held = max(1, round(held))
    rng = np.random.default_rng(options.split_seed)
    return _split(np.arange(size), held, rng, found.source, "for the test")


def _split(
    numbers: np.ndarray, held: int, rng: np.random.Generator, source: str, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """What is left of the numbers of examples when so many are held out, and those."""
    if held >= len(numbers):
        raise DataError(f"{source}: cannot hold out {held} of {len(numbers)} examples {purpose}")
    drawn = rng.permutation(len(numbers))
    return numbers[np.sort(drawn[held:])], numbers[np.sort(drawn[:held])]


def _thinned(kept: np.ndarray, found: Found, options: DataOptions) -> np.ndarray:
    """Those of the numbers that stay by their weights."""
    assert found.weight_N is not None
    drawn_N = np.random.default_rng([options.split_seed, _WEIGHTS]).random(len(found.weight_N))
    stays = kept[drawn_N[kept] < found.weight_N[kept]]
    if not len(stays):
        raise DataError(f"{found.source}: no example is left to train on")
    return stays


def _drawn(split: Split, options: DataOptions, stream: int) -> Split:
    size = len(split.images)
    if options.limit is None or options.limit >= size:
        return split
    rng = np.random.default_rng([options.split_seed, stream])
    return split.select(np.sort(rng.choice(size, options.limit, replace=False)))


def _refuse_unused(source: str, options: DataOptions) -> None:
    """Nothing is held out of data that have a test split."""
    if options.test_fraction is not None:
        raise DataError(
            f"test_fraction is for data without a test split, which {source} has: leave it out, "
            f"got {options.test_fraction}"
        )
    if options.split_seed and options.limit is None and options.validation is None:
        raise DataError(
            f"split_seed changes nothing of {source}, which has a test split, without a limit or "
            f"validation: leave it out, got {options.split_seed}"
        )
