"""Where the scalars of a run go besides the screen: a file always, and what else is asked for."""

import importlib.util
import math
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from vae_topk_jax.extras import install_advice
from vae_topk_jax.files import write_atomic
from vae_topk_jax.runs.json_lines import append_lines, drop_after, read_lines

SCALARS = "scalars.jsonl"


class Sink(Protocol):
    """A place for scalars. A resumed run opens it again, and repeats no step that it keeps."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the values of one step."""

    def close(self, *, failed: bool) -> None:
        """Nothing is written any more; `failed` says that the run ended with an error."""


class JsonLines:
    """One JSON object a line in `scalars.jsonl`; what is not finite is null.

    Lines after `resume_step`, and what a crash left of one, are dropped first.
    """

    def __init__(self, folder: Path, resume_step: int = 0):
        self.path = folder / SCALARS
        drop_after(self.path, resume_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds one line, on disk when this returns."""
        finite = {name: x if math.isfinite(x) else None for name, x in values.items()}
        append_lines(self.path, [{"step": step} | finite])

    def close(self, *, failed: bool) -> None:
        """Every line is on disk already."""


class TensorBoard:
    """Event files in the run's folder `tensorboard`; needs the extra `tensorboard`."""

    def __init__(self, folder: Path, resume_step: int = 0):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds an event a value."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, *, failed: bool) -> None:
        """Closes the file."""
        self._writer.close()


class WeightsAndBiases:
    """A run of a W&B project; needs the extra `wandb`, and `WANDB_MODE=offline` to stay at home.

    The run's name there is kept in `wandb-id`, so that a resumed run goes on with the same one.

    Args:
        folder: the run's folder.
        project: the project.
        config: what the run is made of.

    Raises:
        ValueError: wandb is not installed.
    """

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any]):
        try:
            import wandb
        except ImportError:
            raise ValueError(f"wandb is not installed: {install_advice('wandb')}") from None
        kept = folder / "wandb-id"
        if not kept.exists():
            write_atomic(kept, secrets.token_hex(8).encode())
        self._run = wandb.init(
            project=project,
            id=kept.read_text(encoding="utf-8"),
            name=folder.name,
            dir=str(folder),
            config=dict(config),
            resume="allow",
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the values; W&B itself leaves out a step that it has."""
        self._run.log(dict(values), step=step)

    def close(self, *, failed: bool) -> None:
        """Ends the run there, as failed if it did."""
        self._run.finish(exit_code=int(failed))


class Sinks:
    """Several sinks as one: a context manager that closes them.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Sinks(JsonLines(Path(folder))) as sinks:
        ...         sinks.write(1, {"loss": 0.5})
        ...     read_scalars(Path(folder) / SCALARS)
        [{'step': 1, 'loss': 0.5}]
    """

    def __init__(self, *sinks: Sink):
        self._sinks = sinks

    def __enter__(self) -> "Sinks":
        return self

    def __exit__(self, *failure: object) -> None:
        for sink in self._sinks:
            sink.close(failed=failure[0] is not None)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the values of one step to each."""
        for sink in self._sinks:
            sink.write(step, values)


def open_sinks(
    folder: Path, resume_step: int, config: Mapping[str, Any], wandb: str | None = None
) -> Sinks:
    """The file always, TensorBoard if it is installed, W&B if a project is named.

    Args:
        folder: the run's folder; made if it is missing.
        resume_step: the step from which the run goes on.
        config: what the run is made of, for W&B.
        wandb: the W&B project.

    Raises:
        ValueError: wandb is asked for and not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sinks: list[Sink] = [JsonLines(folder, resume_step)]
    if importlib.util.find_spec("tensorboardX"):
        sinks.append(TensorBoard(folder, resume_step))
    if wandb is not None:
        sinks.append(WeightsAndBiases(folder, wandb, config))
    return Sinks(*sinks)


def read_scalars(path: Path) -> list[dict[str, Any]]:
    """The lines of a `scalars.jsonl`, without one that a crash cut short; none if there is no such
    file."""
    return read_lines(path)
