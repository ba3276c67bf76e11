"""The folder of one run, read back: what was trained, on what, how far, and how well."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.records.rows import RESULTS_NAME, Row, read_results
from vae_topk_jax.checkpoint import CheckpointError, checkpoints, read_info
from vae_topk_jax.runs.model_card import changed_settings
from vae_topk_jax.runs.scalars import SCALARS, read_scalars

CHECKPOINTS = "checkpoints"


class Run(NamedTuple):
    """One run.

    Attributes:
        path: its folder.
        written: when something in it was written last, seconds since 1970.
        config: the configuration, empty where there is none to be read.
        data: source and counts of the images.
        step: of the newest checkpoint or scalars.
        total_steps: of the whole run; None where that is not known.
        rows: what was measured.
        scalars: the lines of scalars.jsonl.
    """

    path: Path
    written: float
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    step: int
    total_steps: int | None
    rows: list[Row]
    scalars: list[dict[str, Any]]

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
        if not self.step:
            return ""
        return f"{self.step:,}" + (f" of {self.total_steps:,}" if self.total_steps else "")

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured of the run's one model; nothing where there are several."""
        return self.rows[0].metrics if len(self.rows) == 1 else {}

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration's fields besides the defaults and the seed."""
        return changed_settings(self.config)


def read_run(path: Path) -> Run:
    """The run in a folder; a checkpoint that cannot be read is passed over.

    Raises:
        ValueError: no run there, or a damaged results file.
    """
    files = [path / name for name in (RESULTS_NAME, SCALARS, CHECKPOINTS)]
    present = [file for file in files if file.exists()]
    if not present:
        raise ValueError(f"{path} holds no run: none of {', '.join(file.name for file in files)}")
    rows = read_results(path).rows if files[0] in present else []
    scalars = read_scalars(path / SCALARS)
    saved = checkpoints(path / CHECKPOINTS)
    config: Mapping[str, Any] = rows[0].config if len(rows) == 1 else {}
    data: Mapping[str, Any] = rows[-1].data if rows else {}
    total_steps = None
    with contextlib.suppress(CheckpointError):
        info = read_info(path / CHECKPOINTS)
        config, data, total_steps = info.config.to_dict(), info.data, info.trainer.total_steps
    return Run(
        path=path,
        written=max(file.stat().st_mtime for file in present),
        config=config,
        data=data,
        step=max([0, *(int(file.name) for file in saved), *(line["step"] for line in scalars)]),
        total_steps=total_steps,
        rows=rows,
        scalars=scalars,
    )


def find_runs(folder: Path) -> Iterator[Path]:
    """The folders of runs in a folder, itself among them, sorted by name.

    Raises:
        FileNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    found = {path.parent for name in (RESULTS_NAME, SCALARS) for path in folder.rglob(name)}
    yield from sorted(found)
