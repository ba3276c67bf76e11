"""The results file: measured rows in one JSON document, from which alone the report is drawn."""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from experiments.records.environment import environment
from vae_topk_jax.files import write_atomic
from vae_topk_jax.foreign import read_regular

RESULTS_NAME = "results.json"
_MOST = 1 << 30  # bytes
# Fields that are not in the rows of before they were added, and what these had.
ADDED = [
    ("standardize", "none"),
    ("structural", 0.0),
    ("cap", False),
    ("mask_input", False),
    ("choice_temperature", 2.0),
    ("choice_balance", 0.001),
    ("classes", 0),
    ("attributes", 0),
    ("label_dropout", 0.1),
    ("objective", "elbo"),
    ("importance_samples", 5),
    ("mmd_weight", 10.0),
    ("mmd_kernel", "imq"),
    ("info_alpha", 0.0),
    ("decoder_l2", 1e-6),
    ("decoder_gradient", 0.0),
    ("train_refined", 0.0),
]


class Place(NamedTuple):
    """Where a row stands in a report."""

    experiment: str
    variant: str
    model: str
    seed: int | None

    @property
    def of_any_seed(self) -> "Place":
        """The place of the model, whatever the seed."""
        return self._replace(seed=None)


class Key(NamedTuple):
    """What makes two rows the same measurement."""

    place: Place
    digest: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One trained (or reference) model, measured once.

    Attributes:
        experiment, variant, model: where the row stands in the report.
        config: every setting the measurement depends on.
        seed: None for a model without randomness.
        data: `source`, and the counts `train` and `test`.
        metrics: finite numbers by name.
        seconds: wall-clock time of training and measuring.
        history: per-epoch losses and, for a sparse model, the importance over training.
        pictures: image batches by name, each as `pictures.encode_images` gives it.
    """

    experiment: str
    variant: str
    model: str
    config: Mapping[str, Any]
    seed: int | None
    data: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: float
    history: Mapping[str, Any] | None = None
    pictures: Mapping[str, Any] | None = None

    @property
    def place(self) -> Place:
        return Place(self.experiment, self.variant, self.model, self.seed)

    @property
    def key(self) -> Key:
        return row_key(self.place, self.config)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values; raises ValueError for a number that JSON cannot hold."""
        where = f"row {self.experiment}/{self.variant}/{self.model}/seed {self.seed}"
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"{where}: metric {name} is {value}, not a finite number")
        filled = {name: value for name, value in asdict(self).items() if value is not None}
        return json.loads(_dumps(filled | {"seed": self.seed}, where))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        try:
            row = cls(**values)
            texts = (row.experiment, row.variant, row.model)
            numbers = (row.seed or 0, row.seconds, *row.metrics.values())
            if not (
                all(isinstance(text, str) for text in texts)
                and all(type(number) in (int, float) for number in numbers)
                and all(isinstance(value, Mapping) for value in (row.config, row.data))
            ):
                raise TypeError("a field of another type")
            return row
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not a row: {error}") from error


def row_key(place: Place, config: Mapping[str, Any]) -> Key:
    """The key of a row that need not exist yet.

    Examples:
        >>> place = Place("table1", "averaged KL", "beta-VAE", 0)
        >>> row_key(place, {"k": 8, "beta": 1}) == row_key(place, {"beta": 1.0, "k": 8})
        True
    """
    return Key(place, _digest(config))


def current_rows(rows: Iterable[Row]) -> list[Row]:
    """Leaves out rows superseded by a later run of the same model under another config."""
    rows = list(rows)
    latest = {row.place.of_any_seed: _digest_of_any_seed(row) for row in rows}
    return [row for row in rows if latest[row.place.of_any_seed] == _digest_of_any_seed(row)]


def _digest_of_any_seed(row: Row) -> str:
    return _digest({**row.config, "seed": None})


def _digest(config: Mapping[str, Any]) -> str:
    """The same for settings in memory and those read back: tuples are lists, 1 is 1.0; and for
    settings of before a field was added, which is as if it had the value here."""
    values = json.loads(_dumps(config, "config"), parse_int=float)
    values = {name: x for name, x in values.items() if (name, x) not in ADDED}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


class Results(NamedTuple):
    environment: dict[str, Any]
    rows: list[Row]


def results_path(path: str | os.PathLike[str]) -> Path:
    """The file itself, given either the file or the directory that holds it."""
    path = Path(path)
    return path if path.suffix == ".json" else path / RESULTS_NAME


def read_results(path: str | os.PathLike[str]) -> Results:
    """Reads a results file, given as a file or as its directory.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or no regular file.
    """
    path = results_path(path)
    try:
        content = read_regular(path, _MOST)
    except FileNotFoundError:
        raise FileNotFoundError(f"no results file at {path}") from None
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
        return Results(dict(document["environment"]), [Row.from_json(r) for r in document["rows"]])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"damaged results file {path}: {error}") from error


def write_results(
    out_dir: str | os.PathLike[str],
    rows: Iterable[Row],
    environment_values: Mapping[str, Any] | None = None,
) -> Path:
    """Replaces the results file of `out_dir` in one step, or leaves it as it was."""
    facts = environment() if environment_values is None else environment_values
    lines = ",\n".join(_dumps(row.to_json(), "row") for row in rows)
    text = f'{{"environment": {_dumps(facts, "environment")},\n"rows": [\n{lines}\n]}}\n'
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(out_dir / RESULTS_NAME, text.encode())
    return out_dir / RESULTS_NAME


def earlier_facts(now: Mapping[str, Any], *others: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What of an environment and of those before it differed from other ones, each once.

    Examples:
        >>> earlier_facts({"jax": 3}, {"jax": 2, "earlier": [{"jax": 1}, {"jax": 3}]})
        [{'jax': 1}, {'jax': 2}]
    """
    known = [*now.get("earlier", [])]
    for other in others:
        for facts in (*other.get("earlier", []), other):
            changed = {k: v for k, v in facts.items() if k != "earlier" and now.get(k) != v}
            if changed and changed not in known:
                known.append(changed)
    return known


class ResultsFile:
    """A results file that grows row by row, so that an interrupted run resumes where it stopped.

    Facts about the whole run that `environment()` does not know (the accuracy of the digit
    classifier, say) go in through `describe`. When a run resumes on another machine, the values
    that differ are kept under the environment's key `earlier`.
    """

    def __init__(self, out_dir: str | os.PathLike[str]):
        self._out_dir = Path(out_dir)
        self._rows: dict[Key, Row] = {}
        self.environment = environment()
        if results_path(self._out_dir).exists():
            old, rows = read_results(self._out_dir)
            self._rows = {row.key: row for row in rows}
            now = {name: fact for name, fact in old.items() if name != "earlier"} | self.environment
            earlier = earlier_facts(now, old)
            self.environment = now | ({"earlier": earlier} if earlier else {})

    @property
    def path(self) -> Path:
        """The file."""
        return self._out_dir / RESULTS_NAME

    @property
    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def has(self, key: Key) -> bool:
        return key in self._rows

    def add(self, row: Row) -> None:
        self.merge([row])

    def replace(self, row: Row) -> None:
        """Adds a row in place of those that differ from it in nothing but configuration, data and
        what was measured."""
        self._rows = {key: old for key, old in self._rows.items() if key.place != row.place}
        self.add(row)

    def merge(self, rows: Iterable[Row]) -> None:
        """Adds rows, each in place of the one with the same key, and writes the file."""
        merged = self._rows | {row.key: row for row in rows}
        write_results(self._out_dir, merged.values(), self.environment)
        self._rows = merged

    def describe(self, **facts: Any) -> None:
        self.environment |= facts
        self.merge([])


def _dumps(value: Any, where: str) -> str:
    """Strict JSON; arrays become lists."""
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
