"""The dataset itself: two splits, with labels where there are any, checked on creation."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any, Literal, TypeAlias

import numpy as np

from vae_topk_jax.data.batches import ArrayT, as_float
from vae_topk_jax.data.cache import remembered
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.factors import Factors
from vae_topk_jax.data.rows import Images, Rows, chunks, in_memory, select

__all__ = ["DataError", "Dataset", "to_unit_float"]


# What a split that is not trained on is.
Measured: TypeAlias = Literal["test", "validation"]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images, and labels where there are any, of a train and a test split.

    The arrays are kept as read-only views, so that `digest` stays true.

    Attributes:
        name: short name, such as "mnist".
        source: where the arrays came from, fit for a published result file: no absolute path.
        train_images: uint8, or float32 (N, H, W, C); vectors are images of 1 x 1 pixels. Rows where
            they do not fit into the memory.
        train_labels: int32 (N,), not negative; None: the images have no labels.
        test_images: as the training images, (M, H, W, C).
        test_labels: int32 (M,), not negative; None where the training images have none.
        factors: what the images were made from, where that is known.
        train_factors, test_factors: int32 (N, F) and (M, F), the number of each factor's value;
            None without `factors`.
        measured: what the test split is: "validation" where it is a part of the training split that
            was held out for choices.

    Raises:
        DataError: A wrong dtype or shape, an empty split, or parts that do not fit together.

    Examples:
        >>> images, labels = np.zeros((6, 8, 8, 1), np.uint8), np.arange(6, dtype=np.int32)
        >>> data = Dataset("tiny", "made by hand", images, labels, images[:2], labels[:2])
        >>> data.image_shape, data.num_classes
        ((8, 8, 1), 6)
        >>> data.limit(train=3).describe()
        {'source': 'made by hand, first 3 train and 2 test images', 'train': 3, 'test': 2}
    """

    name: str
    source: str
    train_images: Images
    train_labels: np.ndarray | None
    test_images: Images
    test_labels: np.ndarray | None
    factors: Factors | None = None
    train_factors: np.ndarray | None = None
    test_factors: np.ndarray | None = None
    measured: Measured = "test"

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            images = getattr(self, f"{split}_images")
            _check_images(split, images)
            if (labels := getattr(self, f"{split}_labels")) is not None:
                _check_labels(split, images, labels)
            if (self.factors is None) != ((given := getattr(self, f"{split}_factors")) is None):
                raise DataError(f"factors and {split} factors must be given together")
            if self.factors is not None:
                self.factors.check(split, len(images), given)
        if (self.train_labels is None) != (self.test_labels is None):
            raise DataError("labels must be given of both splits or of none")
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"train images are {self.train_images.shape[1:]} (H, W, C), "
                f"test images {self.test_images.shape[1:]}: they must agree"
            )
        if self.train_images.dtype != self.test_images.dtype:
            raise DataError(
                f"train images are {self.train_images.dtype}, test images "
                f"{self.test_images.dtype}: they must agree"
            )
        for field in ("images", "labels", "factors"):
            for name in (f"train_{field}", f"test_{field}"):
                if isinstance(array := getattr(self, name), np.ndarray):
                    view = array.view()
                    view.flags.writeable = False
                    object.__setattr__(self, name, view)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """One more than the largest label of either split.

        Raises:
            DataError: there are no labels.
        """
        return 1 + int(max(labels.max() for labels in self.labels))

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """The labels of both splits, for what cannot do without.

        Raises:
            DataError: there are none.
        """
        if self.train_labels is None or self.test_labels is None:
            raise DataError(f"{self.source}: there are no labels, which are needed here")
        return self.train_labels, self.test_labels

    @functools.cached_property
    def digest(self) -> str:
        """Hex SHA-256 over the shapes and bytes of the images and labels, equal on every machine.

        That of rows is kept in the cache until one of their files is written to.
        """
        return remembered(self._files, self._hash)

    @property
    def _files(self) -> str:
        """What the digest depends on, said by the files of the training rows; empty without."""
        if not isinstance(self.train_images, Rows) or not self.train_images.fingerprint:
            return ""
        sha = hashlib.sha256(self.train_images.fingerprint.encode())
        if isinstance(self.test_images, Rows):
            sha.update(self.test_images.fingerprint.encode())
        else:
            sha.update(np.ascontiguousarray(self.test_images).data)
        for labels in (self.train_labels, self.test_labels):
            sha.update(b"" if labels is None else labels.tobytes())
        return sha.hexdigest()

    def _hash(self) -> str:
        sha = hashlib.sha256()
        for images, labels in (
            (self.train_images, self.train_labels),
            (self.test_images, self.test_labels),
        ):
            kind = "" if images.dtype == np.uint8 else f"{images.dtype} "
            sha.update(f"{kind}{images.shape}".encode())
            for chunk in chunks(images):
                sha.update(np.ascontiguousarray(chunk).data)
            if labels is not None:
                sha.update(repr(labels.shape).encode())
                sha.update(np.ascontiguousarray(labels.astype("<i4")).data)
        return sha.hexdigest()

    def describe(self) -> dict[str, str | int]:
        """The entry that result files carry about their data; "measured" stands there where it is
        not the test split."""
        counts = {"train": len(self.train_images), "test": len(self.test_images)}
        measured = {} if self.measured == "test" else {"measured": self.measured}
        return {"source": self.source} | counts | measured

    def limit(self, train: int | None = None, test: int | None = None) -> Dataset:
        """The first images of each split, for quick runs.

        Args:
            train: How many train images to keep; None, or more than there are, keeps all.
            test: The same for the test split.

        Returns:
            A dataset whose `source` notes the limit, or this one if nothing is cut.

        Raises:
            DataError: A count below one.
        """
        for count in (train, test):
            if count is not None and count < 1:
                raise DataError(f"cannot keep the first {count} images of a split: at least one")
        sizes = len(self.train_images), len(self.test_images)
        num_train, num_test = (
            size if count is None else min(count, size)
            for count, size in zip((train, test), sizes, strict=True)
        )
        if (num_train, num_test) == sizes:
            return self
        return self.pick(
            np.arange(num_train),
            np.arange(num_test),
            f"first {num_train} train and {num_test} test images",
        )

    def pick(self, train: np.ndarray, test: np.ndarray, note: str) -> Dataset:
        """The examples of these numbers, in this order.

        Args:
            train, test: numbers of examples of each split.
            note: is added to `source`.
        """
        taken: dict[str, Any] = {}
        for split, index in (("train", train), ("test", test)):
            taken[f"{split}_images"] = in_memory(select(getattr(self, f"{split}_images"), index))
            for field in (f"{split}_labels", f"{split}_factors"):
                array = getattr(self, field)
                taken[field] = None if array is None else array[index]
        return dataclasses.replace(self, source=f"{self.source}, {note}", **taken)


def to_unit_float(images: ArrayT) -> ArrayT:
    """Turns bytes 0..255 into float32 in [0, 1].

    Args:
        images: uint8, any shape; a NumPy array, or a JAX array, inside `jit` or not.

    Returns:
        float32 of the same shape and kind of array, each value divided by 255.

    Raises:
        DataError: another dtype, such as images that were already scaled.

    Examples:
        >>> to_unit_float(np.array([0, 51, 255], np.uint8))
        array([0. , 0.2, 1. ], dtype=float32)
    """
    if images.dtype != np.uint8:
        raise DataError(f"expected uint8 images in 0..255, got {images.dtype}")
    return as_float(images)


def _check_images(split: str, images: Images) -> None:
    if images.dtype not in (np.uint8, np.float32) or images.ndim != 4:
        raise DataError(
            f"{split} images must be uint8 or float32 (N, H, W, C), "
            f"got {images.dtype} {images.shape}"
        )
    if 0 in images.shape:
        raise DataError(f"the {split} split is empty: its images have shape {images.shape}")


def _check_labels(split: str, images: Images, labels: np.ndarray) -> None:
    if labels.dtype != np.int32 or labels.ndim != 1:
        raise DataError(f"{split} labels must be int32 (N,), got {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise DataError(f"{len(labels)} {split} labels for {len(images)} {split} images")
    if labels.min() < 0:
        raise DataError(f"{split} labels must not be negative, got {labels.min()}")
