"""A run and what was measured of it: the folder of `experiments.train`, or of a study."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.records.rows import RESULTS_NAME, Row, read_results
from experiments.records.settings import changed_settings
from vae_topk_jax.checkpoint_folder import CHECKPOINTS
from vae_topk_jax.runs.run_folder import Run, read_run
from vae_topk_jax.runs.scalars import SCALARS


class MeasuredRun(NamedTuple):
    """One run and its rows.

    Attributes:
        run: its folder.
        rows: what was measured.
        written: when something in it was written last, seconds since 1970.
    """

    run: Run
    rows: list[Row]
    written: float

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run.path

    @property
    def scalars(self) -> list[dict[str, Any]]:
        """The lines of scalars.jsonl."""
        return self.run.scalars

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the run or of its one row; empty where there is none."""
        if self.run.info is not None:
            return self.run.info.config.to_dict()
        return self.rows[0].config if len(self.rows) == 1 else {}

    @property
    def data(self) -> Mapping[str, Any]:
        """Source and counts of the images."""
        if self.run.info is not None:
            return self.run.info.data
        return self.rows[-1].data if self.rows else {}

    @property
    def title(self) -> str:
        """The model, or the experiments that were measured."""
        experiments = dict.fromkeys(row.experiment for row in self.rows)
        if self.config and len(self.rows) <= 1:
            return self.config["model"]
        return f"{', '.join(experiments)}: {len(self.rows)} rows"

    @property
    def seeds(self) -> str:
        """The seeds of the run, or of its rows."""
        found = {row.seed for row in self.rows if row.seed is not None}
        if "seed" in self.config:
            found.add(self.config["seed"])
        return ", ".join(map(str, sorted(found)))

    @property
    def steps(self) -> str:
        """How far it went."""
        if not self.run.step:
            return ""
        total = "" if self.run.info is None else f" of {self.run.info.trainer.total_steps:,}"
        return f"{self.run.step:,}{total}"

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured of the run's one model; nothing where there are several."""
        return self.rows[0].metrics if len(self.rows) == 1 else {}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings besides the defaults of the system, its name and the seed."""
        return {n: x for n, x in changed_settings(self.config).items() if n != "model"}


def read_measured_run(path: Path) -> MeasuredRun:
    """The run in a folder with its rows.

    Raises:
        ValueError: no run there, or a damaged results file.
    """
    files = [path / name for name in (RESULTS_NAME, SCALARS, CHECKPOINTS)]
    present = [file for file in files if file.exists()]
    if not present:
        raise ValueError(f"{path} holds no run: none of {', '.join(file.name for file in files)}")
    rows = read_results(path).rows if files[0] in present else []
    return MeasuredRun(read_run(path), rows, max(file.stat().st_mtime for file in present))


def find_runs(folder: Path) -> Iterator[Path]:
    """The folders of runs in a folder, itself among them, sorted by name.

    Raises:
        FileNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found = {path.parent for name in (RESULTS_NAME, SCALARS) for path in folder.rglob(name)}
    yield from sorted(found)
