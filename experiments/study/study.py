"""A reproduction in progress: data, classifier, trained models and the rows measured so far."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from experiments.records.rows import ResultsFile, Row, encode_images, row_key
from experiments.study.budget import Budget
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import TrainedProbe, load_or_train_probe
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs import progress
from vae_topk_jax.training import EpochResult

_IMPORTANCE_SNAPSHOTS = 60
PICTURES = 10


class Trained(NamedTuple):
    """A model after training.

    Attributes:
        inference: the model.
        history: losses an epoch, and the running importance of a Top-K model.
        seconds: wall-clock time of training, compilation included.
        seconds_epoch: of an epoch, the median without the first, which compiles; None if there is
            no second.
    """

    inference: Inference
    history: dict[str, Any]
    seconds: float
    seconds_epoch: float | None


class Measurement(NamedTuple):
    """What measuring a model gives to its row."""

    metrics: dict[str, float]
    pictures: dict[str, np.ndarray] | None = None
    history: dict[str, Any] | None = None


@dataclass(frozen=True)
class Study:
    """What every table needs.

    Attributes:
        dataset: the images.
        budget: how much to spend.
        results: the rows so far; measuring a row that is there already costs nothing.
        test_latent: what is decoded at test time, the posterior's mean or a sample of it.
        given: configuration fields that every model starts from, where its row does not say
            otherwise.
    """

    dataset: Dataset
    budget: Budget
    results: ResultsFile
    test_latent: Literal["mean", "sample"] = "mean"
    given: Mapping[str, Any] = field(default_factory=dict)
    _last_trained: dict[Config, Trained] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def train_images(self) -> np.ndarray:
        """Float training images in [0, 1]."""
        return to_unit_float(self.dataset.train_images)

    @functools.cached_property
    def test_images(self) -> np.ndarray:
        """Float test images in [0, 1]."""
        return to_unit_float(self.dataset.test_images)

    @functools.cached_property
    def probe(self) -> TrainedProbe:
        """The digit classifier whose features and labels the metrics rest on."""
        with progress.console.status("digit classifier", spinner="line"):
            epochs = self.budget.probe.over(len(self.dataset.train_images))
            probe = load_or_train_probe(self.dataset, epochs=epochs)
        progress.console.print(f"digit classifier: {probe.test_accuracy:.4f} on the test images")
        self.results.describe(probe_accuracy=probe.test_accuracy)
        return probe

    @functools.cached_property
    def test_features(self) -> np.ndarray:
        """The classifier's features of the test images."""
        return self.probe.features(self.test_images)

    def config(self, defaults: Mapping[str, Any] | None = None, **changes: Any) -> Config:
        """A configuration of these fields and the budget's epochs.

        Args:
            defaults: a table's own, to which those that the user gave are preferred.
            changes: what makes the row; preferred to all.
        """
        base = Config(**{**(defaults or {}), **self.given})
        epochs = self.budget.training.over(len(self.dataset.train_images), base.batch_size)
        return base.replace(**{"epochs": epochs} | changes)

    def train(self, config: Config, title: str) -> Trained:
        """A model trained with this configuration; the last one is kept, to be measured twice."""
        if config not in self._last_trained:
            self._last_trained.clear()
            self._last_trained[config] = self._train(config, title)
        return self._last_trained[config]

    def measure(
        self,
        experiment: str,
        variant: str,
        model: str,
        config: Mapping[str, Any],
        seed: int | None,
        measure: Callable[[], Measurement],
    ) -> None:
        """Adds the row that `measure` gives, unless it is there already."""
        config = {**config, "test_latent": self.test_latent}
        if self.results.has(row_key(experiment, variant, model, seed, config)):
            return
        started = time.perf_counter()
        metrics, pictures, history = measure()
        seconds = time.perf_counter() - started
        shown = seed is None or seed == self.budget.seeds[0]
        row = Row(
            experiment=experiment,
            variant=variant,
            model=model,
            config=config,
            seed=seed,
            data=self.dataset.describe(),
            metrics=metrics,
            seconds=round(seconds, 2),
            history=history if shown else None,
            pictures=_encode(pictures) if shown and pictures else None,
        )
        self.results.add(row)
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        progress.console.print(
            f"[bold]{experiment}[/] {variant} | {model} | seed {seed} | {seconds:.0f} s | {values}"
        )

    def _train(self, config: Config, title: str) -> Trained:
        info = RunInfo(
            config, self.dataset.image_shape, self.dataset.describe(), self.dataset.digest
        )
        trainer = info.trainer
        started = time.perf_counter()
        images = self.dataset.train_images
        running = trainer.epochs(trainer.init(images), images)
        epochs, ends = [], []
        for epoch in progress.show(running, trainer, title):
            epochs.append(epoch)
            ends.append(time.perf_counter())
        steady = float(np.median(np.diff(ends))) if len(ends) > 1 else None
        latent_key = study_key(config.seed, "latent") if self.test_latent == "sample" else None
        inference = Inference(epochs[-1].state, info, latent_key)
        return Trained(inference, _history(epochs, inference), ends[-1] - started, steady)


def _history(epochs: Iterable[EpochResult], inference: Inference) -> dict[str, Any]:
    epochs = list(epochs)
    history: dict[str, Any] = {"epoch": list(range(1, len(epochs) + 1))}
    for term in epochs[0].terms:
        history[term] = [round(epoch.terms[term], 7) for epoch in epochs]
    if epochs[0].importance_SxD is not None:
        importance_SxD = np.concatenate([np.asarray(epoch.importance_SxD) for epoch in epochs])
        steps = np.unique(
            np.linspace(0, len(importance_SxD) - 1, _IMPORTANCE_SNAPSHOTS).astype(int)
        )
        history["importance"] = {
            "step": (steps + 1).tolist(),
            "values": [[float(f"{v:.4g}") for v in importance_SxD[step]] for step in steps],
            "active_dims": inference.active_dims.tolist(),
        }
    return history


def _encode(pictures: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: encode_images(to_uint8(images)) for name, images in pictures.items()}


def to_uint8(images: np.ndarray) -> np.ndarray:
    """uint8 images from floats in [0, 1]."""
    return np.rint(np.asarray(images) * 255).astype(np.uint8)


def study_key(seed: int, purpose: str) -> jax.Array:
    """A key for one purpose of one seed, independent of the keys of the others."""
    return jax.random.fold_in(jax.random.key(seed), int.from_bytes(purpose.encode()[:4], "big"))
