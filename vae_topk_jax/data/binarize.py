"""Black and white images, for a Bernoulli likelihood."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from vae_topk_jax.data.dataset import Dataset
from vae_topk_jax.data.errors import DataError


def binarize(images: np.ndarray, key: jax.Array) -> np.ndarray:
    """Each pixel 255 with the probability of its grey value, else 0.

    Drawn once, the images are statically binarised. The draw is our own: the files of Larochelle &
    Murray (2011) hold another one, so likelihoods are comparable with theirs up to the draw.

    Args:
        images: uint8, any shape.
        key: typed key; the same key and shape give the same draw.

    Returns:
        uint8 of the same shape, 0 or 255.

    Raises:
        DataError: another dtype.

    Examples:
        >>> binarize(np.array([0, 255, 0, 255], np.uint8), jax.random.key(0)).tolist()
        [0, 255, 0, 255]
    """
    if images.dtype != np.uint8:
        raise DataError(f"expected uint8 images in 0..255, got {images.dtype}")
    # P(u < g) = g / 255 for u uniform on 0..254
    level = np.asarray(jax.random.randint(key, images.shape, 0, 255, np.uint8))
    return np.where(level < images, 255, 0).astype(np.uint8)


def binarized(dataset: Dataset, seed: int = 0) -> Dataset:
    """The dataset with both splits binarised once, by a key of their own each.

    Examples:
        >>> images, labels = np.full((4, 2, 2, 1), 128, np.uint8), np.arange(4, dtype=np.int32)
        >>> data = binarized(Dataset("tiny", "made by hand", images, labels, images, labels))
        >>> data.source, np.unique(data.train_images).tolist()
        ('made by hand, binarised by our own draw (seed 0)', [0, 255])
    """
    train_key, test_key = jax.random.split(jax.random.key(seed))
    return dataclasses.replace(
        dataset,
        source=f"{dataset.source}, binarised by our own draw (seed {seed})",
        train_images=binarize(dataset.train_images, train_key),
        test_images=binarize(dataset.test_images, test_key),
    )
