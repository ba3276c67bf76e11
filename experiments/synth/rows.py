"""The rows of the study: every dictionary, seed by seed."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.records.rows import Place
from experiments.study.bar import RowsBar
from experiments.study.planned import Measurement, Planned
from experiments.synth import ours, peers
from experiments.synth.found import Found, measure
from experiments.synth.presets import Preset
from vae_topk_jax.metrics.recovery import mean_correlation
from vae_topk_jax.synthetic import GroundTruth

EXPERIMENT = "synth"


@dataclasses.dataclass(frozen=True)
class Rows:
    """What every row needs.

    Attributes:
        variant: the name of the preset.
        preset: sizes.
        truth: what all dictionaries are trained on.
        folder: where the directions of each are kept, which the stability over seeds is taken of.
        bar: shows how far the trainings are.
    """

    variant: str
    preset: Preset
    truth: GroundTruth
    folder: Path
    bar: RowsBar

    def all(self, only: str = "") -> Iterator[Planned]:
        """Those whose title contains `only`, seed by seed."""
        for seed in self.preset.seeds:
            for title in ours.MODELS:
                config = ours.config_of(title, self.preset, seed)
                settings = ours.describe(config, self.preset)

                def train_ours(config=config) -> Found:
                    return ours.train(config, self.preset, self.truth, self.bar)

                if only in title:
                    yield self._row(title, seed, settings, train_ours, cost=1.0)
            for title, peer in peers.installed().items():
                settings = ours.truth_settings(self.preset) | {"seed": seed, "k": self.preset.k}

                def train_theirs(peer=peer, seed=seed) -> Found:
                    return peer.train(self.preset, self.truth, seed)

                if only in title:
                    yield self._row(title, seed, settings, train_theirs, cost=3.0)

    def _row(
        self,
        title: str,
        seed: int,
        settings: dict[str, Any],
        train: Callable[[], Found],
        cost: float,
    ) -> Planned:
        def train_and_measure() -> Measurement:
            found = train()
            metrics = measure(found, self.truth, self.preset.evaluated)
            return Measurement(metrics | self._stability(title, seed, found.decoder_DxF))

        place = Place(EXPERIMENT, self.variant, title, seed)
        data = {
            "source": "synthetic",
            "train": self.preset.samples,
            "test": self.preset.evaluated,
        }
        return Planned(place, settings, data, train_and_measure, cost)

    def _stability(self, title: str, seed: int, decoder_DxF: np.ndarray) -> dict[str, float]:
        """The mean |cosine| of its directions, matched with those of the first seed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = title.replace(",", "").replace(" ", "_")
        np.save(self.folder / f"{self.variant}-{name}-{seed}.npy", decoder_DxF)
        first = self.folder / f"{self.variant}-{name}-{self.preset.seeds[0]}.npy"
        if seed == self.preset.seeds[0] or not first.exists():
            return {}
        return {"stability": mean_correlation(decoder_DxF, np.load(first, allow_pickle=False))}
