"""Trains one model and keeps its checkpoints.

python -m experiments.train --out runs/my-model --model top_k_vae --k 8 --epochs 15
python -m experiments.train --out runs/my-model --resume
srun python -m experiments.train --out runs/my-model --distributed
"""

import contextlib
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from experiments.records.rows import ResultsFile, Row
from experiments.terminal import cli
from experiments.terminal.configuration import last_value
from vae_topk_jax import fit
from vae_topk_jax.checkpoint_folder import checkpoints, latest_checkpoint
from vae_topk_jax.config import Config
from vae_topk_jax.data import DataOptions, find_dataset
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import explained_variance, normalized_mse, reconstruction_metrics
from vae_topk_jax.processes import all_or_none, is_main, main_first, require_same, start
from vae_topk_jax.runs.inputs import PIXELS, PROBE, Inputs, load_inputs
from vae_topk_jax.runs.interruption import Interrupted
from vae_topk_jax.runs.progress import console
from vae_topk_jax.runs.run_folder import read_names, saved_info, sole_writer
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training import NonFiniteError
from vae_topk_jax.training_inputs import labels_of


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains one model and keeps its checkpoints."""

    config: Config = dataclasses.field(default_factory=Config)
    out: Path = Path("runs/model")
    """Folder of the checkpoints, of scalars.jsonl, importance.jsonl and results.json."""
    data: str = "auto"
    """A file or a folder of arrays, pictures, safetensors, tables and more (docs/data.md), or
    "embedded", "download", "npm", "tfds:NAME", "sprites", or "auto": the first MNIST that is
    found."""
    reading: DataOptions = dataclasses.field(default_factory=DataOptions)
    inputs: str = PIXELS
    """What the model sees of them: "pixels"; "probe", the digit classifier's penultimate layer; or
    the last hidden layer of a VAE's encoder, as the folder of its run. The last two are vectors of
    any values: for batch_topk_sae, or with a likelihood such as "normal"."""
    resume: bool = False
    """Go on from the newest checkpoint in the folder, with the configuration and the data saved
    there."""
    save_every: int = 1
    """Turns between checkpoints; the last is always kept."""
    segment: int | None = None
    """Steps per turn, an epoch if not given: how often scalars are written and a signal is
    heeded."""
    keep: int = 3
    """How many of the newest checkpoints are kept, besides the one with the smallest
    reconstruction error."""
    patience: int = 100
    """How many steps in a row may be left out because they are not finite."""
    wandb: str | None = None
    """Project of Weights & Biases that gets the scalars as well (extra `wandb`)."""
    distributed: bool = False
    """Train on all devices of all processes. SLURM, Open MPI or Kubernetes say what these are, or
    the next three flags; without them there is one process, with the devices of its machine."""
    coordinator: str | None = None
    """HOST:PORT at which process 0 is reached."""
    processes: int | None = None
    """How many processes there are."""
    process: int | None = None
    """The number of this one, from 0."""
    model_devices: int = 1
    """How many devices share one copy of the matrices that have a latent dimension."""


def main(args: list[str] | None = None) -> None:
    """Parses the command line and trains."""
    with cli.one_line_errors(), _ended_by_sigint():
        options = cli.parse(Options, args, default=_before_joining(args))
        _join(options)
        with _exit_codes(options.out):
            require_same({"resume": options.resume})
            if options.resume:
                with all_or_none():
                    options = cli.parse(Options, args, default=_saved_options(options.out))
            train(options)


def _before_joining(args: list[str] | None) -> Options | None:
    """The saved options of a run that is resumed, where this process can read them already."""
    words = sys.argv[1:] if args is None else args
    if "--resume" not in words:
        return None
    with contextlib.suppress(ValueError, OSError):
        return _saved_options(Path(last_value(words, "--out") or Options.out))
    return None


def _saved_options(out: Path) -> Options:
    """What a resumed run goes by where no flag is given."""
    names = read_names(out)
    return Options(
        config=saved_info(out).config,
        data=names.get("data", Options.data),
        reading=DataOptions.from_saved(names),
        inputs=names.get("inputs", Options.inputs),
    )


def _join(options: Options) -> None:
    """Joins the other processes, before anything touches a device."""
    if options.distributed:
        start(options.coordinator, options.processes, options.process)
    for name in ("coordinator", "processes", "process"):
        if not options.distributed and (value := getattr(options, name)) is not None:
            raise ValueError(f"{name} must go with --distributed, got {value} without")


@contextlib.contextmanager
def _ended_by_sigint() -> Iterator[None]:
    """SIGINT ends this process at once and without a traceback, where `fit` does not note it."""
    before = signal.getsignal(signal.SIGINT)
    is_usual = before is signal.default_int_handler
    if is_usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if is_usual:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _exit_codes(out: Path) -> Iterator[None]:
    """Ends this process with 3 after too many steps that were not finite, with 143 or 130 after a
    signal and with 4 when another process is gone, for which nothing can be waited then."""
    try:
        yield
    except Interrupted as stopped:
        name, step = stopped.signal.name, stopped.step
        print(f"{name}: saved step {step}; go on with --resume", file=sys.stderr)
        raise SystemExit(stopped.code) from None
    except NonFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(3) from None
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or "RESOURCE_EXHAUSTED" in str(error):
            raise
        reason = str(error).strip().splitlines()[0]
        saved = "the last checkpoint is intact, go on with --resume"
        print(
            f"error: process {jax.process_index()} lost contact with another process; "
            f"{saved if checkpoints(out) else 'there is no checkpoint yet'} ({reason})",
            file=sys.stderr,
            flush=True,
        )
        os._exit(4)


def train(options: Options) -> None:
    """Trains, or goes on with, the run that the options describe, and measures its model.

    Raises:
        ValueError, NonFiniteError, Interrupted: as `vae_topk_jax.fit`.
    """
    started = time.perf_counter()
    with all_or_none(), main_first("inputs"):
        inputs = _find_inputs(options)
    model = fit(
        inputs,
        options.config,
        out=options.out,
        resume=options.resume,
        save_every=options.save_every,
        segment=options.segment,
        keep=options.keep,
        patience=options.patience,
        mesh=make_mesh(options.model_devices) if options.distributed else None,
        wandb=options.wandb,
    )
    with all_or_none():
        if is_main():
            row = _measure(model, inputs, started)
            with sole_writer(options.out):
                ResultsFile(options.out).add(row)
            values = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
            console.print(f"{inputs.about.get('measured', 'test')} images: {values}")
            console.print(f"checkpoint: {latest_checkpoint(options.out)}")


def _find_inputs(options: Options) -> Inputs:
    dataset, data = find_dataset(options.data, options.reading)
    inputs = load_inputs(options.inputs, dataset)
    is_folder = options.inputs not in (PIXELS, PROBE)
    name = os.path.abspath(options.inputs) if is_folder else options.inputs
    return dataclasses.replace(inputs, names={"data": data, "inputs": name} | options.reading.given)


def _measure(inference: Inference, inputs: Inputs, started: float) -> Row:
    test = inputs.float_test
    label = None
    if labels_of(inference.config) and inputs.test_labels is not None:
        label = inputs.test_labels[: len(test)]
    codes = inference.encode(test, label=label)
    decoded = np.asarray(inference.decode(codes, label=label))
    if inputs.are_images and test.min() >= 0 and test.max() <= 1:
        metrics = reconstruction_metrics(decoded.clip(0.0, 1.0), test)
    else:
        measures = {"explained_variance": explained_variance, "nmse": normalized_mse}
        metrics = {name: measure(test, decoded) for name, measure in measures.items()}
    metrics["active_dims"] = len(inference.active_dims)
    metrics["active_latents"] = float(np.mean(np.sum(np.asarray(codes) != 0, axis=1)))
    reduction = getattr(inference.config, "latent_reduction", None)
    return Row(
        experiment="train",
        variant="" if reduction is None else f"KL {reduction} over latents",
        model=inference.config.model,
        config=inference.config.to_dict(),
        seed=inference.config.seed,
        data=inputs.about,
        metrics=metrics,
        seconds=round(time.perf_counter() - started, 2),
    )


if __name__ == "__main__":
    main()
