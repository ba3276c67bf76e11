"""What a model is trained on: images, or what another model makes of them.

pixels  the images themselves
probe   the penultimate layer of the digit classifier
PATH    the last hidden layer of a trained VAE's encoder, from its checkpoint
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, to_unit_float
from vae_topk_jax.inference import load
from vae_topk_jax.metrics import TrainedProbe, load_or_train_probe
from vae_topk_jax.models import MODELS

PIXELS, PROBE = "pixels", "probe"
PENULTIMATE = "penultimate layer of the digit classifier"
_CHUNK = 1000


@dataclass(frozen=True)
class Inputs:
    """Training and test inputs.

    Attributes:
        train, test: uint8 images (N, H, W, C), or float32 activations (N, 1, 1, F).
        about: the entry that result files carry about their data.
        digest: tells whether two runs have the same inputs.
    """

    train: np.ndarray
    test: np.ndarray
    about: dict[str, Any]
    digest: str

    @property
    def are_images(self) -> bool:
        """Whether these are the images themselves."""
        return self.train.dtype == np.uint8

    @property
    def float_test(self) -> np.ndarray:
        """The test inputs as a model takes them."""
        return to_unit_float(self.test) if self.are_images else self.test

    def info(self, config: Config) -> RunInfo:
        """What travels with the weights of a model of these inputs.

        Raises:
            ValueError: a model of images, for activations.
        """
        if not self.are_images and MODELS[config.model].input_range is not None:
            raise ValueError(
                f"model must be batch_topk_sae for activations, got {config.model!r}, which takes "
                "images in [0, 1]"
            )
        return RunInfo(config, self.train.shape[1:], self.about, self.digest)


def load_inputs(
    name: str,
    dataset: Dataset,
    probe_of: Callable[[Dataset], TrainedProbe] = load_or_train_probe,
) -> Inputs:
    """The inputs of that name.

    Args:
        name: "pixels", "probe", or the folder of a run's checkpoints.
        dataset: the images behind them.
        probe_of: where the digit classifier comes from.

    Raises:
        ValueError: another name, or a checkpoint of a model without an encoder or of other images.
    """
    if name == PIXELS:
        images = dataset.train_images, dataset.test_images
        return Inputs(*images, dataset.describe(), dataset.digest)
    features: Callable[[np.ndarray], np.ndarray]
    if name == PROBE:
        features, title = probe_of(dataset).features, PENULTIMATE
    elif Path(name).is_dir():
        features, title = _hidden_layer(Path(name), dataset)
    else:
        raise ValueError(
            f"inputs must be {PIXELS!r}, {PROBE!r} or a folder of checkpoints, got {name!r}"
        )
    train, test = (
        np.asarray(features(images), np.float32)[:, None, None, :]
        for images in (dataset.train_images, dataset.test_images)
    )
    digest = hashlib.sha256(train.tobytes() + test.tobytes()).hexdigest()
    return Inputs(train, test, dataset.describe() | {"inputs": title}, digest)


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
        lambda x: trained.model.apply(variables, x, method=lambda model, x: model.encoder(x))
    )

    def features(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), _CHUNK)
        return np.concatenate([encoder(to_unit_float(images[i : i + _CHUNK])) for i in starts])

    return features, f"last hidden layer of {config.model}, step {int(trained.state.step)}"
