"""The rows of the study: every dictionary, seed by seed."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.records.rows import Key, Place
from experiments.study.planned import Measurement, Planned
from experiments.synth import ours, peers
from experiments.synth.found import Found, measure
from experiments.synth.presets import Preset
from vae_topk_jax.config import Config
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
    """

    variant: str
    preset: Preset
    truth: GroundTruth
    folder: Path

    def all(self, only: str = "", has: Callable[[Key], bool] = lambda key: False) -> list[Planned]:
        """Those whose title contains `only`, seed by seed.

        Args:
            only: part of a title.
            has: whether a row need not be measured; its dictionary is not trained either.
        """
        return [row for seed in self.preset.seeds for row in self._of_seed(seed, only, has)]

    def _of_seed(self, seed: int, only: str, has: Callable[[Key], bool]) -> Iterator[Planned]:
        missing: dict[str, Config] = {}
        trained = functools.cache(lambda: ours.train(missing, self.preset, self.truth))
        for title in filter(lambda title: only in title, ours.MODELS):
            config = ours.config_of(title, self.preset, seed)
            settings = ours.describe(config, self.preset)

            def train_ours(title: str = title) -> Found:
                return trained()[title]

            row = self._row(title, seed, settings, train_ours, cost=1.0)
            if not has(row.key):
                missing[title] = config
            yield row
        for title, peer in peers.installed().items():
            settings = ours.truth_settings(self.preset) | {"seed": seed, "k": self.preset.k}

            def train_theirs(peer: peers.Peer = peer) -> Found:
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
