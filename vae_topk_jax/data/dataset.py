"""The dataset itself: two splits of uint8 images with their labels, checked once on creation."""

from __future__ import annotations

import dataclasses
import functools
import hashlib

import numpy as np

from vae_topk_jax.data.batches import ArrayT, as_float


class DataError(ValueError):
    """Data that cannot be used, or a source that cannot give it; the message is one line."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of a train and a test split.

    The arrays are kept as read-only views, so that `digest` stays true.

    Attributes:
        name: short name, such as "mnist".
        source: where the arrays came from, fit for a published result file: no absolute path.
        train_images: uint8 (N, H, W, C).
        train_labels: int32 (N,), not negative.
        test_images: uint8 (M, H, W, C).
        test_labels: int32 (M,), not negative.

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
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            _check_split(split, getattr(self, f"{split}_images"), getattr(self, f"{split}_labels"))
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"train images are {self.train_images.shape[1:]} (H, W, C), "
                f"test images {self.test_images.shape[1:]}: they must agree"
            )
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            view = getattr(self, field).view()
            view.flags.writeable = False
            object.__setattr__(self, field, view)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """One more than the largest label of either split."""
        return 1 + int(max(self.train_labels.max(), self.test_labels.max()))

    @functools.cached_property
    def digest(self) -> str:
        """Hex SHA-256 over the shapes and bytes of the four arrays, equal on every machine."""
        sha = hashlib.sha256()
        for images, labels in (
            (self.train_images, self.train_labels),
            (self.test_images, self.test_labels),
        ):
            for array in (images, labels.astype("<i4")):
                sha.update(repr(array.shape).encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    def describe(self) -> dict[str, str | int]:
        """The entry that result files carry about their data."""
        return {
            "source": self.source,
            "train": len(self.train_images),
            "test": len(self.test_images),
        }

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
        return dataclasses.replace(
            self,
            source=f"{self.source}, first {num_train} train and {num_test} test images",
            train_images=self.train_images[:num_train],
            train_labels=self.train_labels[:num_train],
            test_images=self.test_images[:num_test],
            test_labels=self.test_labels[:num_test],
        )


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


def _check_split(split: str, images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"{split} images must be uint8 (N, H, W, C), got {images.dtype} {images.shape}"
        )
    if labels.dtype != np.int32 or labels.ndim != 1:
        raise DataError(f"{split} labels must be int32 (N,), got {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise DataError(f"{len(labels)} {split} labels for {len(images)} {split} images")
    if not images.size:
        raise DataError(f"the {split} split is empty: its images have shape {images.shape}")
    if labels.min() < 0:
        raise DataError(f"{split} labels must not be negative, got {labels.min()}")
