"""Models as a study trains them, alone or several seeds together."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from experiments.study.bar import RowsBar
from experiments.study.keys import study_key
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset
from vae_topk_jax.group import TrainerGroup
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training_inputs import labels_of

TestLatent = Literal["mean", "sample"]
Epoch = tuple[Mapping[str, float], np.ndarray | None]  # terms, importance_SxD
_IMPORTANCE_SNAPSHOTS = 60


class Trained(NamedTuple):
    """A model after training.

    Attributes:
        inference: the model.
        history: losses per epoch, and the running importance of a Top-K model.
        seconds: wall-clock time of training, compilation included; an equal share of it where
            several seeds were trained together.
        seconds_epoch: of an epoch, the median without the first, which compiles, or an equal share
            of that; None if there is no second.
    """

    inference: Inference
    history: dict[str, Any]
    seconds: float
    seconds_epoch: float | None

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.inference.config.seed


def train_models(
    configs: Sequence[Config], dataset: Dataset, bar: RowsBar, test_latent: TestLatent
) -> dict[Config, Trained]:
    """The models of configurations, several of them as one program over all devices.

    Args:
        configs: one, or several that may be trained together.
        dataset: the images.
        bar: shows how far the training is.
        test_latent: what is decoded at test time, the posterior's mean or a sample of it.
    """
    data = (dataset.image_shape, dataset.describe(), dataset.digest)
    infos = [RunInfo(config, *data) for config in configs]
    trainer, images = infos[0].trainer, dataset.train_images
    labels = dataset.train_labels if labels_of(configs[0]) else None
    started, ends = time.perf_counter(), []
    epochs: list[list[Epoch]] = [[] for _ in configs]
    if len(configs) > 1:
        mesh = make_mesh() if len(jax.devices()) > 1 else None
        group = TrainerGroup(configs, dataset.image_shape, len(images), mesh)
        for turn in bar.training(group.epochs(images, labels=labels), trainer):
            for number, own in enumerate(epochs):
                own.append((turn.terms[number], turn.importance_of(number)))
            ends.append(time.perf_counter())
        states = group.unstack(turn.state)
    else:
        running = trainer.epochs(trainer.init(images), images, labels=labels)
        for epoch in bar.training(running, trainer):
            epochs[0].append((epoch.terms, epoch.importance_SxD))
            ends.append(time.perf_counter())
        states = [epoch.state]
    steady = float(np.median(np.diff(ends))) / len(configs) if len(ends) > 1 else None
    seconds = (ends[-1] - started) / len(configs)
    trained = {}
    for info, state, own in zip(infos, states, epochs, strict=True):
        is_drawn = test_latent == "sample"
        latent_key = study_key(info.config.seed, "latent") if is_drawn else None
        inference = Inference(state, info, latent_key)
        history = _history(own, inference)
        trained[info.config] = Trained(inference, history, seconds, steady)
    return trained


def _history(epochs: Sequence[Epoch], inference: Inference) -> dict[str, Any]:
    history: dict[str, Any] = {"epoch": list(range(1, len(epochs) + 1))}
    for term in epochs[0][0]:
        history[term] = [round(terms[term], 7) for terms, _ in epochs]
    parts = [importance_SxD for _, importance_SxD in epochs if importance_SxD is not None]
    if parts:
        importance_SxD = np.concatenate(parts)
        steps = np.unique(
            np.linspace(0, len(importance_SxD) - 1, _IMPORTANCE_SNAPSHOTS).astype(int)
        )
        history["importance"] = {
            "step": (steps + 1).tolist(),
            "values": [[float(f"{v:.4g}") for v in importance_SxD[step]] for step in steps],
            "active_dims": inference.active_dims.tolist(),
        }
    return history
