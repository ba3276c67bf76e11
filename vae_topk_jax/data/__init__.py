"""Datasets as plain NumPy arrays, from a folder, a cache, a download or an installed package."""

from vae_topk_jax.data.batches import as_float, batch_indices, epoch_order, order_slice, take_batch
from vae_topk_jax.data.binarize import binarize, binarized
from vae_topk_jax.data.dataset import DataError, Dataset, to_unit_float
from vae_topk_jax.data.sources import find_dataset, load_dataset

__all__ = [
    "DataError",
    "Dataset",
    "as_float",
    "batch_indices",
    "binarize",
    "binarized",
    "epoch_order",
    "find_dataset",
    "load_dataset",
    "order_slice",
    "take_batch",
    "to_unit_float",
]
