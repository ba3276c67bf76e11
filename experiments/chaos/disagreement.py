"""Processes of one run that were started with different options."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.chaos.small_run import (
    require,
    small_flags,
    start_training,
    temporary_folder,
    write_images,
)
from vae_topk_jax.config import Config
from vae_topk_jax.objectives import OBJECTIVES

_MOST_SECONDS = 60
# Another value for each field that is a name.
_NAMES = {
    "model": "sparse_generator",
    "selection": "dimension",
    "importance": "fixed",
    "score": "kl",
    "likelihood": "bernoulli",
    "pixel_reduction": "sum",
    "latent_reduction": "sum",
    "body": "residual",
    "compute_dtype": "bfloat16",
    "optimizer": "sgd",
    "schedule": "constant",
    "standardize": "mean",
    "objective": "wae",
    "mmd_kernel": "rbf",
}
# With which every field may have another value; the other model has no selection.
_SHARED = ["--likelihood", "squared_error"]
_PER_SAMPLE = ["--selection", "sample"]
_IWAE = ["--selection", "dimension", "--pixel-reduction", "sum", "--latent-reduction", "sum"]
_OPTIONS = {"segment": "3", "save_every": "2", "keep": "2", "patience": "7", "out": "elsewhere"}


def disagreement(trials: int) -> str:
    """Two processes of which one has another seed, number of epochs, set of images, ...: every
    field of the configuration and every option; both end with exit code 2 and one line that names
    it and both values, before the first step and within 60 seconds."""
    with temporary_folder() as folder:
        write_images(folder / "data")
        write_images(folder / "others", seed=1)
        tried = [*cases(folder)][:trials]
        for name, flags in tried:
            _require_refusal(folder, name, flags)
    return f"{len(tried)} options and fields, each refused by both processes"


def cases(folder: Path = Path()) -> Iterator[tuple[str, list[str]]]:
    """What one process has otherwise, by name, and its flags."""
    yield "data", ["--data", str(folder / "others")]
    yield "resume", ["--resume"]
    for name, value in _OPTIONS.items():
        yield name, [_flag(name), value]
    given = {"latent_dim": 8, "k": 2, "widths": [32], "batch_size": 32, "epochs": 10}
    for name, value in (Config().to_dict() | given).items():
        yield name, _other(name, value)


def _other(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [_flag(f"no_{name}" if value else name)]
    if isinstance(value, str):
        return [_flag(name), _NAMES[name]]
    if isinstance(value, list):
        return [_flag(name), "16"]
    if isinstance(value, int):
        return [_flag(name), "16" if name == "batch_size" else str(value + 1)]
    return [_flag(name), str(value / 2 or 0.25)]


def _with_objective(name: str) -> list[str]:
    """Flags of an objective that has the field, of a model that selects."""
    own = [objective for objective, of in OBJECTIVES.items() if name in of.settings]
    chosen = ["--objective", own[0]] if own else []
    return [*(_IWAE if own == ["iwae"] else _PER_SAMPLE), *chosen]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require_refusal(folder: Path, name: str, flags: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    joined = [*small_flags(folder, folder / "run"), *_SHARED]
    joined += _with_objective(name) if name != "model" else []
    joined += ["--distributed", "--coordinator", coordinator, "--processes", "2"]
    logs = [folder / f"{name}-{process}.log" for process in range(2)]
    processes = [
        start_training(
            folder,
            [*joined, "--process", str(process), *(flags if process else [])],
            logs[process],
        )
        for process in range(2)
    ]
    deadline = time.monotonic() + _MOST_SECONDS
    for process, log in zip(processes, logs, strict=True):
        process.join(max(0.0, deadline - time.monotonic()))
        ended = process.exitcode
        process.kill()
        process.join()
        text = log.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.startswith("error: ")]
        require(ended == 2 and len(lines) == 1, f"{name}: exit code {ended}, {text}")
        expected = f"error: {name} must be the same in all processes: it is "
        require(lines[0].startswith(expected), f"{name}: {lines[0]}")
    require(not (folder / "run").exists(), f"{name}: something was written")
