"""Arrays that have names: which of them are the images, which the labels, of which split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.data.splits import Split

_ALONE, _TRAIN, _TEST = "", "train", "test"
# By the names that NumPy archives of images have in practice.
_ROLES = {
    "images": (_ALONE, "images"),
    "labels": (_ALONE, "labels"),
    "train_images": (_TRAIN, "images"),
    "train_labels": (_TRAIN, "labels"),
    "test_images": (_TEST, "images"),
    "test_labels": (_TEST, "labels"),
    "x_train": (_TRAIN, "images"),
    "y_train": (_TRAIN, "labels"),
    "x_test": (_TEST, "images"),
    "y_test": (_TEST, "labels"),
}


class Names(NamedTuple):
    """The names of the arrays of one split."""

    images: str
    labels: str | None


def roles(names: Iterable[str], path: Path) -> tuple[Names, Names | None]:
    """The names of the train and of the test split; where there is no such split, None.

    Args:
        names: of the arrays; a single one may have any name.
        path: for messages.

    Raises:
        DataError: names that say nothing, or labels without images.

    Examples:
        >>> roles(["x_train", "y_train", "x_test", "y_test"], Path("mnist.npz"))[1]
        Names(images='x_test', labels='y_test')
    """
    names = list(names)
    if len(names) == 1 and names[0] not in _ROLES:
        return Names(names[0], None), None
    found = {_ROLES[name]: name for name in names if name in _ROLES}
    splits = {split for split, _ in found}
    has_images = all((split, "images") in found for split in splits)
    if not has_images or splits not in ({_ALONE}, {_TRAIN}, {_TRAIN, _TEST}):
        raise DataError(
            f"{path}: expected images and labels, or train_images, train_labels, test_images and "
            f"test_labels (labels may be missing), found {', '.join(sorted(names)) or 'nothing'}"
        )
    both = [
        Names(found[split, "images"], found.get((split, "labels"))) if split in splits else None
        for split in ((_ALONE if _ALONE in splits else _TRAIN), _TEST)
    ]
    assert both[0] is not None
    return both[0], both[1]


def left_out(names: Iterable[str]) -> list[str]:
    """The names without a role, beside others that have one."""
    names = list(names)
    return [name for name in names if name not in _ROLES] if len(names) > 1 else []


def splits_of(
    names: tuple[Names, Names | None],
    images: Callable[[str], Rows],
    labels: Callable[[str], np.ndarray],
    path: Path,
) -> tuple[Split, Split | None]:
    """The splits of these names.

    Args:
        names: from `roles`.
        images, labels: read the array of a name.
        path: for messages.

    Raises:
        DataError: labels that are no integers, or not one for each image.
    """

    def split(of: Names | None) -> Split | None:
        if of is None:
            return None
        rows = images(of.images)
        if of.labels is None:
            return Split(rows)
        return Split(rows, as_labels(labels(of.labels), len(rows), f"{path}: {of.labels}"))

    train, test = map(split, names)
    assert train is not None
    return train, test


def as_labels(array: np.ndarray, size: int, name: str) -> np.ndarray:
    """Labels as int32.

    Raises:
        DataError: they are no integers in [0, 2^31), or not one an image.

    Examples:
        >>> as_labels(np.array([[1], [0]]), 2, "labels").tolist()
        [1, 0]
    """
    if array.dtype.kind not in "iu":
        raise DataError(f"{name}: expected integers, found {array.dtype}")
    if array.shape not in ((size,), (size, 1)):
        raise DataError(f"{name}: expected {size} labels, one an image, found {array.shape}")
    if array.min() < 0 or array.max() >= 2**31:
        raise DataError(
            f"{name}: expected labels in [0, 2^31), found {array.min()} to {array.max()}"
        )
    return array.reshape(size).astype(np.int32)
