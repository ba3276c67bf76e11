"""The importance of every dimension over training, kept in a run's folder beside its scalars."""

from pathlib import Path
from typing import Any

import numpy as np

from vae_topk_jax.runs.json_lines import append_lines, drop_after, read_lines

IMPORTANCE = "importance.jsonl"
LINES = 100


class ImportanceLog:
    """One JSON object a line in `importance.jsonl`, about 100 over a run.

    Which steps have a line depends on the length of the run alone, so that a resumed run gives the
    file of one that never stopped. Where nothing is ever written, as for a dense model, there is no
    file.

    Args:
        folder: the run's folder; made if it is missing.
        total_steps: of the whole run.
        resume_step: lines after it are dropped.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     log = ImportanceLog(Path(folder), total_steps=200)
        ...     log.write(4, np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]]))
        ...     read_importance(Path(folder))
        {'step': [2, 4], 'values': [[0.3, 0.4], [0.7, 0.8]]}
    """

    def __init__(self, folder: Path, total_steps: int, resume_step: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / IMPORTANCE
        self.every = max(1, total_steps // LINES)
        if self.path.exists():
            drop_after(self.path, resume_step)

    def write(self, step: int, importance_SxD: np.ndarray) -> None:
        """Adds the lines of the last S steps, of which `step` is the last, on disk when this
        returns."""
        lines = [
            {"step": number, "importance": [float(f"{value:.4g}") for value in importance_D]}
            for number, importance_D in enumerate(importance_SxD, step - len(importance_SxD) + 1)
            if number % self.every == 0
        ]
        append_lines(self.path, lines)


def read_importance(folder: Path) -> dict[str, Any] | None:
    """{"step": [...], "values": [[...], ...]}, a list of D numbers a step; None if the run kept
    none.

    Raises:
        ValueError: anything else in the file.
    """
    lines = [line for line in read_lines(folder / IMPORTANCE) if "importance" in line]
    if not lines:
        return None
    values = [line["importance"] for line in lines]
    try:
        shape = np.asarray(values, np.float32).shape
    except (ValueError, TypeError):
        shape = ()
    if len(shape) != 2 or not shape[1]:
        raise ValueError(f"{folder / IMPORTANCE} must hold D numbers for each step")
    return {"step": [line["step"] for line in lines], "values": values}
