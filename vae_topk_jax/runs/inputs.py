"""What a model is trained on: images, or what another model makes of them.

pixels  the images themselves
probe   the penultimate layer of the digit classifier
PATH    the last hidden layer of a trained VAE's encoder, from the folder of its run
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, Rows, as_float, load_dataset
from vae_topk_jax.data.cache import remembered
from vae_topk_jax.data.memory import fits_in_memory
from vae_topk_jax.data.rows import Images, chunks
from vae_topk_jax.inference import load
from vae_topk_jax.metrics import TrainedProbe, load_or_train_probe
from vae_topk_jax.run_info import RunInfo

PIXELS, PROBE = "pixels", "probe"
PENULTIMATE = "penultimate layer of the digit classifier"
_CHUNK = 1000
_MOST_TEST = 10_000


@dataclass(frozen=True)
class Inputs:
    """Training and test inputs.

    Attributes:
        train, test: images (N, H, W, C), uint8 or float32, or vectors (N, 1, 1, F); `Rows` where
            they do not fit into the memory.
        about: the entry that result files carry about their data.
        digest: equal for runs with the same inputs.
        names: under which `experiments.train` finds them again, kept in the run's folder.
        train_labels, test_labels: whole numbers (N,), for models with `classes`, or numbers (N, A)
            for models with `attributes`; None: there are none.
    """

    train: Images
    test: Images
    about: dict[str, Any]
    digest: str
    names: Mapping[str, Any] = field(default_factory=dict)
    train_labels: np.ndarray | None = None
    test_labels: np.ndarray | None = None

    @property
    def are_images(self) -> bool:
        """Whether these are images, not vectors."""
        return self.train.shape[1:3] != (1, 1)

    @property
    def float_test(self) -> np.ndarray:
        """The test inputs as a model takes them; the first 10,000 where not all of them fit into
        the memory."""
        return as_float(self.test[:_MOST_TEST] if isinstance(self.test, Rows) else self.test)

    def info(self, config: Config) -> RunInfo:
        """What travels with the weights of a model of these inputs."""
        return RunInfo(config, self.train.shape[1:], self.about, self.digest)


# What may be trained on; a text is a spec of `load_dataset`.
Trainable: TypeAlias = ArrayLike | Rows | Dataset | os.PathLike[str] | Inputs


def as_inputs(
    images: Trainable,
    test: ArrayLike | None,
    source: str | None = None,
    labels: ArrayLike | None = None,
    test_labels: ArrayLike | None = None,
) -> Inputs:
    """Data as a model is trained on them.

    Args:
        images: uint8 or floating arrays (N, H, W), (N, H, W, C) or (N, F); a dataset; or the spec
            of one, as `load_dataset` takes it.
        test: more of that kind; None: the test split of a dataset, none of an array.
        source: where an array comes from; None: "an array".
        labels: whole numbers (N,), the classes of an array's images, or attributes (N, A); a
            dataset has its own.
        test_labels: those of `test`.

    Raises:
        ValueError: another type or shape, `test` of another shape than `images`, or a source or
            labels for data that have them.

    Examples:
        >>> inputs = as_inputs(np.zeros((6, 8, 8), np.uint8), None, "zeros")
        >>> inputs.train.shape, inputs.about
        ((6, 8, 8, 1), {'source': 'zeros', 'train': 6, 'test': 0})
    """
    if test is None and test_labels is not None:
        raise ValueError(f"test_labels must go with test, got {np.size(test_labels)} without")
    if isinstance(images, (str, os.PathLike)):
        images = load_dataset(images)
    if isinstance(images, Dataset):
        images = load_inputs(PIXELS, images)
    if isinstance(images, Inputs):
        if source is not None:
            raise ValueError(f"source is for arrays, not for {images.about}: leave it out")
        if labels is not None:
            raise ValueError(f"labels are for arrays; {images.about} has its own: leave them out")
        if test is None:
            return images
        return replace(images, test=_as_images("test", test), test_labels=_numbers(test_labels))
    train = _as_images("images", images)
    held_out = train[:0] if test is None else _as_images("test", test)
    if held_out.shape[1:] != train.shape[1:]:
        raise ValueError(
            f"test must have the shape of images, (M, {', '.join(map(str, train.shape[1:]))}), "
            f"got {held_out.shape}"
        )
    about = {"source": source or "an array", "train": len(train), "test": len(held_out)}
    key = train.fingerprint if isinstance(train, Rows) else ""
    digest = remembered(key, lambda: _digest(train))
    train_labels = _numbers(labels)
    if train_labels is not None:
        digest = hashlib.sha256(f"{digest} {train_labels.tolist()}".encode()).hexdigest()
    return Inputs(
        train,
        held_out,
        about,
        digest,
        train_labels=train_labels,
        test_labels=_numbers(test_labels),
    )


def _numbers(labels: ArrayLike | None) -> np.ndarray | None:
    return None if labels is None else np.asarray(labels)


def _digest(images: Images) -> str:
    sha = hashlib.sha256(f"{images.dtype} {images.shape}".encode())
    for chunk in chunks(images):
        sha.update(np.ascontiguousarray(chunk).data)
    return sha.hexdigest()


def _as_images(name: str, images: ArrayLike | Rows) -> Images:
    """(N, H, W, C), uint8 or float32."""
    if isinstance(images, Rows):
        return images
    array = np.asarray(images)
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape (N, H, W), (N, H, W, C) or, as vectors, (N, F), "
            f"got {array.shape}"
        )
    if array.dtype != np.uint8 and not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"{name} must be uint8 or floating, got {array.dtype}")
    if not fits_in_memory(array.nbytes):
        return Rows([array], [name])
    if array.dtype != np.uint8:
        array = array.astype(np.float32, copy=False)
    return array[:, None, None, :] if array.ndim == 2 else array.reshape(*array.shape[:3], -1)


def load_inputs(
    name: str,
    dataset: Dataset,
    probe_of: Callable[[Dataset], TrainedProbe] = load_or_train_probe,
) -> Inputs:
    """The inputs of that name.

    Args:
        name: "pixels", "probe", or a run's folder.
        dataset: the images behind them.
        probe_of: where the digit classifier comes from.

    Raises:
        ValueError: another name, or a checkpoint of a model without an encoder or of other images.
    """
    labels: dict[str, Any] = {
        "train_labels": dataset.train_labels,
        "test_labels": dataset.test_labels,
    }
    if name == PIXELS:
        images = dataset.train_images, dataset.test_images
        return Inputs(*images, dataset.describe(), dataset.digest, **labels)
    features: Callable[[np.ndarray], np.ndarray]
    if name == PROBE:
        features, title = probe_of(dataset).features, PENULTIMATE
    elif Path(name).is_dir():
        features, title = _hidden_layer(Path(name), dataset)
    else:
        raise ValueError(
            f"inputs must be {PIXELS!r}, {PROBE!r} or the folder of a run, got {name!r}"
        )
    train, test = (
        np.asarray(features(images), np.float32)[:, None, None, :]
        for images in (dataset.train_images, dataset.test_images)
    )
    digest = hashlib.sha256(train.tobytes() + test.tobytes()).hexdigest()
    return Inputs(train, test, dataset.describe() | {"inputs": title}, digest, **labels)


def _hidden_layer(path: Path, dataset: Dataset) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    trained = load(path)
    config, variables = trained.config, trained.variables
    if "encoder" not in variables["params"]:
        raise ValueError(f"inputs: {config.model} in {path} has no encoder with a hidden layer")
    if trained.info.image_shape != dataset.image_shape:
        raise ValueError(
            f"inputs: the model in {path} takes images {trained.info.image_shape}, "
            f"the data are {dataset.image_shape}"
        )
    encoder = jax.jit(
        lambda x: trained.model.apply(
            variables, x, method=lambda model, x: model.encoder(model.standardized(x))
        )
    )

    def features(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), _CHUNK)
        return np.concatenate([encoder(as_float(images[i : i + _CHUNK])) for i in starts])

    return features, f"last hidden layer of {config.model}, step {int(trained.state.step)}"
