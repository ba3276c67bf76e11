"""A reproduction in progress: data, classifier, trained models and the rows measured so far."""

import dataclasses
import functools
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.records.pictures import encode_pictures
from experiments.records.rows import Place, ResultsFile, Row
from experiments.study.bar import RowsBar
from experiments.study.budget import Budget
from experiments.study.keys import study_key
from experiments.study.planned import Measurement, Planned
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.data import DataOptions, Dataset, to_unit_float
from vae_topk_jax.data.splits import limited
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import Features, TrainedProbe, load_or_train_probe
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs.progress import console
from vae_topk_jax.training import EpochResult
from vae_topk_jax.training_inputs import classes_of

_IMPORTANCE_SNAPSHOTS = 60
PICTURES = 10


class Trained(NamedTuple):
    """A model after training.

    Attributes:
        inference: the model.
        history: losses per epoch, and the running importance of a Top-K model.
        seconds: wall-clock time of training, compilation included.
        seconds_epoch: of an epoch, the median without the first, which compiles; None if there is
            no second.
    """

    inference: Inference
    history: dict[str, Any]
    seconds: float
    seconds_epoch: float | None

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.inference.config.seed


class Judge(NamedTuple):
    """A classifier, and its features of the test images."""

    probe: TrainedProbe
    test_features: Features


@dataclasses.dataclass(frozen=True)
class Study:
    """What every table needs.

    Attributes:
        dataset: the images.
        budget: how much to spend.
        results: the rows so far; a row that is there already is not measured again.
        test_latent: what is decoded at test time, the posterior's mean or a sample of it.
        given: configuration fields that every model starts from, where its row does not say
            otherwise.
        bar: shows how far `measure` is.
    """

    dataset: Dataset
    budget: Budget
    results: ResultsFile
    test_latent: Literal["mean", "sample"] = "mean"
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bar: RowsBar = dataclasses.field(default_factory=RowsBar, repr=False)
    _last_trained: dict[Config, Trained] = dataclasses.field(default_factory=dict, repr=False)

    @functools.cached_property
    def train_images(self) -> np.ndarray:
        """Float training images in [0, 1]."""
        return to_unit_float(self.dataset.train_images)

    @functools.cached_property
    def test_images(self) -> np.ndarray:
        """Float images in [0, 1] that are not trained on: the test split, or the validation one."""
        return to_unit_float(self.dataset.test_images)

    @property
    def has_labels(self) -> bool:
        """Whether there is what the digit classifier and the linear probe are trained with."""
        return self.dataset.train_labels is not None

    @functools.cached_property
    def probe(self) -> TrainedProbe:
        """The digit classifier whose features and labels the metrics rest on."""
        probe = self._classifier(0)
        self.results.describe(probe_accuracy=probe.test_accuracy)
        return probe

    @functools.cached_property
    def judges(self) -> list[Judge]:
        """The classifiers that generated images are judged by, the study's own first."""
        others = [self._classifier(seed) for seed in range(1, self.budget.classifiers)]
        return [
            Judge(probe, Features(probe.features(self.test_images)))
            for probe in (self.probe, *others)
        ]

    def _classifier(self, seed: int) -> TrainedProbe:
        self.bar.show("digit classifier")
        epochs = self.budget.probe.over(len(self.dataset.train_images))
        probe = load_or_train_probe(self.dataset, epochs=epochs, seed=seed)
        measured = self.dataset.measured
        console.print(f"digit classifier {seed}: {probe.test_accuracy:.4f}, {measured} images")
        return probe

    def config(self, defaults: Mapping[str, Any] | None = None, **changes: Any) -> Config:
        """A configuration of these fields and the budget's epochs.

        Args:
            defaults: a table's own, to which those that the user gave are preferred. Both go to the
                systems that have them.
            changes: what makes the row; preferred to all.
        """
        given = {**(defaults or {}), **self.given}
        model = changes.get("model", given.pop("model", Config().model))
        base = Config(model, **{n: x for n, x in given.items() if n in fields_for(model)})
        epochs = self.budget.training.over(len(self.dataset.train_images), base.batch_size)
        return base.replace(**{"epochs": epochs} | changes)

    def on(self, dataset: Dataset) -> "Study":
        """The same study of other images, with the same results file."""
        return dataclasses.replace(self, dataset=dataset, _last_trained={})

    @functools.cached_property
    def for_choices(self) -> "Study":
        """The same study, measured on training images that are held out, so that what is chosen by
        it can be scored on the test images afterwards."""
        return self.on(limited(self.dataset, DataOptions(validation=self.budget.validation)))

    def train(self, config: Config) -> Trained:
        """A model trained with this configuration; the last one is kept, to be measured twice."""
        if config not in self._last_trained:
            self._last_trained.clear()
            self._last_trained[config] = self._train(config)
        return self._last_trained[config]

    def plan(
        self,
        place: Place,
        config: Mapping[str, Any],
        measure: Callable[[], Measurement],
        cost: float = 0.2,
    ) -> Planned:
        """A row of what `measure` gives.

        Args:
            place: where the row stands.
            config: what the measurement depends on.
            measure: measures.
            cost: about how long it takes, in trainings of a small model.
        """
        config = {**config, "test_latent": self.test_latent}
        if self.dataset.measured == "validation":
            config["validation"] = len(self.dataset.test_images)
        return Planned(place, config, self.dataset.describe(), measure, cost)

    def plan_trained(
        self,
        experiment: str,
        variant: str,
        model: str,
        config: Config,
        measure: Callable[[Trained], Measurement],
        cost: float = 1.0,
        **settings: Any,
    ) -> Planned:
        """A row of what `measure` gives of a model that is trained first.

        Args:
            experiment, variant, model: where the row stands.
            config: of the model.
            measure: gives the row's metrics, but for `seconds_training`.
            cost: as in `plan`.
            settings: what the measurement depends on besides the configuration.
        """

        def train_and_measure() -> Measurement:
            trained = self.train(config)
            found = measure(trained)
            seconds = {"seconds_training": round(trained.seconds, 2)}
            return found._replace(metrics=found.metrics | seconds)

        place = Place(experiment, variant, model, config.seed)
        return self.plan(place, config.to_dict() | settings, train_and_measure, cost)

    def measure(self, rows: Iterable[Planned]) -> None:
        """Measures the rows that are not among the results yet, under one bar.

        A row is kept as soon as it is measured. SIGINT ends the process with exit code 130; what it
        left out, another call measures.
        """
        measure_rows(rows, self.results, self.bar, shown_seed=self.budget.seeds[0])

    def _train(self, config: Config) -> Trained:
        info = RunInfo(
            config, self.dataset.image_shape, self.dataset.describe(), self.dataset.digest
        )
        trainer = info.trainer
        started = time.perf_counter()
        images = self.dataset.train_images
        labels = self.dataset.train_labels if classes_of(config) else None
        running = trainer.epochs(trainer.init(images), images, labels=labels)
        epochs, ends = [], []
        for epoch in self.bar.training(running, trainer):
            epochs.append(epoch)
            ends.append(time.perf_counter())
        steady = float(np.median(np.diff(ends))) if len(ends) > 1 else None
        latent_key = study_key(config.seed, "latent") if self.test_latent == "sample" else None
        inference = Inference(epochs[-1].state, info, latent_key)
        return Trained(inference, _history(epochs, inference), ends[-1] - started, steady)


def measure_rows(
    rows: Iterable[Planned], results: ResultsFile, bar: RowsBar, shown_seed: int
) -> None:
    """Measures the rows that are not among the results yet; see `Study.measure`.

    Args:
        rows: planned ones.
        results: where each is kept.
        bar: shows how far it is.
        shown_seed: the seed whose rows keep their histories and pictures.
    """
    rows = list(rows)
    missing = [row for row in rows if not results.has(row.key)]
    done = len(rows) - len(missing)
    if done:
        console.print(f"{done} of {len(rows)} rows are in {results.path} already")
    try:
        with bar.running(sum(row.cost for row in missing)):
            for row in missing:
                counted = f"row {done + 1} of {len(rows)}"
                with bar.row(f"{counted}: {row.title}", row.cost):
                    seconds = _measure(row, results, shown_seed)
                console.print(f"{counted}: {row.place.experiment}, {row.title}, {seconds:.0f} s")
                done += 1
    except KeyboardInterrupt:
        print(
            f"stopped: {done} of {len(rows)} rows are in {results.path}; "
            "the same command goes on with the others",
            file=sys.stderr,
        )
        raise SystemExit(128 + signal.SIGINT) from None


def _measure(planned: Planned, results: ResultsFile, shown_seed: int) -> float:
    """Adds the row to the results; gives its seconds."""
    started = time.perf_counter()
    metrics, pictures, history = planned.measure()
    seconds = time.perf_counter() - started
    shown = planned.place.seed in (None, shown_seed)
    results.add(
        Row(
            **planned.place._asdict(),
            config=planned.config,
            data=planned.data,
            metrics=metrics,
            seconds=round(seconds, 2),
            history=history if shown else None,
            pictures=encode_pictures(pictures) if shown and pictures else None,
        )
    )
    return seconds


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
