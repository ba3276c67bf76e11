"""Command-line options that the experiments share."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.records.rows import ResultsFile
from experiments.study.budget import PRESETS, Passes
from experiments.study.study import Study
from vae_topk_jax.config import Config, fields_for
from vae_topk_jax.data import load_dataset
from vae_topk_jax.models.registry import owners
from vae_topk_jax.runs.progress import console


def check_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds, if there are any and they can be told apart.

    Raises:
        ValueError: none, one below 0, or one twice.
    """
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be distinct and at least 0, got {seeds}")
    return seeds


@dataclasses.dataclass(frozen=True)
class StudyOptions:
    """What to run, on which images, and where to."""

    preset: Literal["quick", "paper", "tiny"] = "quick"
    """How much to spend: "quick" takes minutes, "paper" about three hours on two CPU cores for both
    tables (five seeds), "tiny" is for smoke tests."""
    data: str = "auto"
    """Images: "auto", "download", "npm", "embedded", "tfds:NAME", "sprites", or a file
    or folder (docs/data.md)."""
    out: Path | None = None
    """Folder of results.json and the report; runs/PRESET if not given. Rows that it holds already
    are not measured again."""
    seeds: tuple[int, ...] | None = None
    """Overrides the preset's seeds."""
    epochs: int | None = None
    """Overrides the preset's epochs."""
    config: Path | None = None
    """A JSON file of configuration fields (see `experiments.train --help`) from which every model
    starts; what defines a row (model, latent_dim, k, importance, epochs, seed and, in Table 1, the
    reduction of the KL) stays the table's."""
    test_latent: Literal["mean", "sample"] = "mean"
    """What is decoded at test time: the posterior's mean, or a sample of it."""

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or Path("runs") / self.preset

    def study(self) -> Study:
        """Loads the data and opens the results.

        Raises:
            ValueError: a bad option, or no data.
        """
        budget = PRESETS[self.preset]
        given = _read_config(self.config) if self.config else {}
        if self.seeds is not None:
            budget = dataclasses.replace(budget, seeds=check_seeds(self.seeds))
        if self.epochs is not None:
            if self.epochs < 1:
                raise ValueError(f"epochs must be at least 1, got {self.epochs}")
            budget = dataclasses.replace(budget, training=Passes(self.epochs))
        dataset = load_dataset(self.data).limit(budget.train_images, budget.test_images)
        if dataset.train_labels is None:
            console.print(
                f"{dataset.source}: there are no labels, so what the digit classifier and the "
                "linear probe measure is left out"
            )
        results = ResultsFile(self.folder)
        if results.environment.setdefault("data_digest", dataset.digest) != dataset.digest:
            raise ValueError(f"{self.folder} holds results on other data: choose another --out")
        return Study(dataset, budget, results, self.test_latent, given)


# As a parameter of a command: its flags stand under "study options".
StudyFlags = Annotated[StudyOptions, tyro.conf.arg(name="study")]


def _read_config(path: Path) -> dict[str, Any]:
    """The fields in the file, once they have been found good."""
    text = path.read_text(encoding="utf-8")
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError(f"a configuration is a JSON object, got {type(fields).__name__}")
        for name, value in fields.items():
            model, *_ = [value] if name == "model" else owners(name) or [Config().model]
            together = {other: x for other, x in fields.items() if other in fields_for(model)}
            Config(**together | {"model": model, name: value})
        return fields
    except ValueError as error:
        raise ValueError(f"config file {path}: {error}") from error
