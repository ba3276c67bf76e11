"""Datasets as arrays, from files and folders of many kinds, a download or an installed package."""

from vae_topk_jax.data.batches import as_float, batch_indices, epoch_order, order_slice, take_batch
from vae_topk_jax.data.binarize import binarize, binarized
from vae_topk_jax.data.dataset import Dataset, to_unit_float
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.data.sources import find_dataset, load_dataset

__all__ = [
    "DataError",
    "DataOptions",
    "Dataset",
    "Rows",
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
