"""A trained probe kept on disk: a safetensors file with everything that makes it what it is.

A cache, so nothing in it is precious: whatever is wrong with the file, the probe is trained again.
"""

import dataclasses
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from vae_topk_jax.files import cache_folder, write_atomic
from vae_topk_jax.metrics.classifier import EPOCHS, Probe, TrainedProbe, train_probe

FORMAT = 1  # raise it whenever `Probe` or its training changes

_log = logging.getLogger("vae_topk_jax.metrics")


class LabelledImages(Protocol):
    """What `load_or_train_probe` needs of a data set; `vae_topk_jax.data.Dataset` has it all."""

    @property
    def train_images(self) -> np.ndarray: ...
    @property
    def test_images(self) -> np.ndarray: ...
    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]: ...
    @property
    def num_classes(self) -> int: ...
    @property
    def digest(self) -> str: ...


def load_or_train_probe(
    dataset: LabelledImages,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> TrainedProbe:
    """The probe of a data set, from the cache if it has been trained before.

    The file lies in the folder "probe" of `cache_dir`, or of the environment variable
    VAE_TOPK_CACHE, or of the user's cache folder, whichever is given first. A damaged file, or a
    folder that cannot be written to, costs one log line and the training, never an error.

    Args:
        dataset: train and test images with their labels.
        cache_dir: where to keep trained probes.
        epochs: passes over the train images.
        seed: of the initial weights, the order of the batches and the shifts.

    Returns:
        The trained probe, with its `test_accuracy`.

    Raises:
        ValueError: as `train_probe`.
    """
    config = {
        "format": FORMAT,
        "dataset": dataset.digest,
        "epochs": epochs,
        "seed": seed,
        "num_classes": dataset.num_classes,
        "image_shape": list(dataset.train_images.shape[1:]),
    }
    path = _path(cache_dir, config)
    try:
        return _load(path, config)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        _log.warning("cannot use the cached probe %s (%s): training it again", path, error)

    train_labels, test_labels = dataset.labels
    probe = train_probe(
        dataset.train_images,
        train_labels,
        jax.random.key(seed),
        num_classes=dataset.num_classes,
        epochs=epochs,
    )
    accuracy = probe.accuracy(dataset.test_images, test_labels)
    probe = dataclasses.replace(probe, test_accuracy=accuracy)
    try:
        _save(path, config, probe)
    except OSError as error:
        _log.warning("cannot cache the probe as %s (%s)", path, error)
    return probe


def _path(cache_dir: str | os.PathLike[str] | None, config: dict[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    return (
        cache_folder(cache_dir)
        / "probe"
        / f"probe-v{FORMAT}-e{config['epochs']}-s{config['seed']}-{key}.safetensors"
    )


def _save(path: Path, config: dict[str, Any], probe: TrainedProbe) -> None:
    tensors = traverse_util.flatten_dict(probe.params, sep="/")
    about = json.dumps(config | {"test_accuracy": probe.test_accuracy}, sort_keys=True)
    metadata = {"about": about, "sha256": _sha256(tensors, about)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, safetensors.numpy.save(tensors, metadata))


def _load(path: Path, config: dict[str, Any]) -> TrainedProbe:
    if not path.exists():
        raise FileNotFoundError(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    about = metadata.get("about", "")
    if metadata.get("sha256") != _sha256(tensors, about):
        raise ValueError("its contents do not match its SHA-256")
    stored = json.loads(about)
    accuracy = stored.pop("test_accuracy", None) if isinstance(stored, dict) else None
    if stored != config or not isinstance(accuracy, float):
        raise ValueError(f"it holds a probe for {stored}, not for {config}")
    expected = jax.eval_shape(
        Probe(config["num_classes"]).init,
        jax.random.key(0),
        jnp.zeros((1, *config["image_shape"])),
    )
    shapes = {n: x.shape for n, x in traverse_util.flatten_dict(expected, sep="/").items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != shapes:
        raise ValueError("its tensors are not those of a probe")
    return TrainedProbe(
        params=traverse_util.unflatten_dict(tensors, sep="/"),
        num_classes=config["num_classes"],
        image_shape=tuple(config["image_shape"]),
        test_accuracy=accuracy,
    )


def _sha256(tensors: dict[str, np.ndarray], about: str) -> str:
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(np.ascontiguousarray(tensor).tobytes())
    return digest.hexdigest()
