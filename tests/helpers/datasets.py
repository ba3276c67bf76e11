"""The smallest data set."""

import numpy as np

from vae_topk_jax.data import Dataset


def small_dataset(**changes) -> Dataset:
    arrays = {
        "train_images": np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3, 1),
        "train_labels": np.array([0, 1, 2, 0, 1, 2], np.int32),
        "test_images": np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3, 1),
        "test_labels": np.array([3, 0], np.int32),
    }
    return Dataset(**{"name": "small", "source": "by hand", **arrays, **changes})
