"""Any image classification set of tensorflow-datasets, which is imported only when asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

import numpy as np

from vae_topk_jax.data.dataset import Dataset
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.extras import install_advice


def load_tfds(name: str, data_dir: str | None = None) -> Dataset:
    """Loads a set by its tensorflow-datasets name, such as "fashion_mnist".

    A set that lies prepared as array_record is read without TensorFlow. Preparing one, or reading
    one that was prepared as tfrecord, needs TensorFlow.

    Args:
        name: what `tfds.builder` takes, config and version included.
        data_dir: where prepared sets lie; None for tensorflow-datasets' own default.

    Returns:
        The splits "train" and "test", or "validation" where there is no "test".

    Raises:
        DataError: an unknown set, TensorFlow needed but absent, or no set of images of one size.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(f"tfds:{name}: tensorflow-datasets cannot be imported ({error})") from error
    try:
        builder = _prepared_builder(tfds, name, data_dir)
        splits = builder.info.splits
        test = "test" if "test" in splits else "validation"
        if missing := {"train", test} - set(splits):
            raise DataError(f"tfds:{name}: no split {' or '.join(missing)}, only {list(splits)}")
        train_images, train_labels = _arrays(tfds, builder, "train")
        test_images, test_labels = _arrays(tfds, builder, test)
    except DataError:
        raise
    except Exception as error:  # tensorflow-datasets raises all kinds, over many lines
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"tfds:{name}: {reason}") from error
    return Dataset(
        name=builder.info.name,
        source=f"tensorflow-datasets {builder.info.full_name}, splits train and {test}",
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )


def _prepared_builder(tfds: Any, name: str, data_dir: str | None) -> Any:
    builder = tfds.builder(name, data_dir=data_dir)
    if not builder.info.splits:
        _require_tensorflow(name, "prepare it")
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        builder.download_and_prepare()
    return builder


def _arrays(tfds: Any, builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    image_key, label_key = builder.info.supervised_keys or ("image", "label")
    examples: Iterable[dict[str, Any]]
    try:
        examples = builder.as_data_source(split=split)
    except NotImplementedError:  # prepared in a format without random access
        _require_tensorflow(builder.info.name, "read it from tfrecord")
        examples = tfds.as_numpy(builder.as_dataset(split=split))
    images, labels = zip(*((e[image_key], e[label_key]) for e in examples), strict=True)
    return np.stack(images), np.array(labels, np.int32)


def _require_tensorflow(name: str, purpose: str) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise DataError(f"tfds:{name}: TensorFlow is needed to {purpose}: {install_advice('tfds')}")
