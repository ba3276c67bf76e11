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
from vae_topk_jax.checkpoint import (
    CheckpointWriter,
    latest_checkpoint,
    restore_checkpoint,
    restore_newest_whole,
)
from vae_topk_jax.config import Config
from vae_topk_jax.data import load_dataset
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import explained_variance, reconstruction_metrics
from vae_topk_jax.processes import barrier, is_main, largest, main_first, start
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs import progress
from vae_topk_jax.runs.importance_log import ImportanceLog
from vae_topk_jax.runs.inputs import PIXELS, Inputs, load_inputs
from vae_topk_jax.runs.interruption import Interruption, sole_writer
from vae_topk_jax.runs.scalars import Sinks, open_sinks
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training import NonFiniteError, Trainer, TrainState


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains one model and keeps its checkpoints."""

    config: Config = dataclasses.field(default_factory=Config)
    out: Path = Path("runs/model")
    """Folder of the checkpoints, of scalars.jsonl, importance.jsonl and results.json."""
    data: str = "auto"
    """Images: "auto", a folder of IDX files, "download", "npm", "embedded" or "tfds:NAME"."""
    inputs: str = PIXELS
    """What the model sees of them: "pixels"; "probe", the digit classifier's penultimate layer; or
    the last hidden layer of a VAE's encoder, as the folder of its checkpoints. The last two are for
    batch_topk_sae."""
    resume: bool = False
    """Go on from the newest checkpoint in the folder, with the configuration saved there."""
    save_every: int = 1
    """Turns between checkpoints; the last is always kept."""
    segment: int | None = None
    """Steps a turn, an epoch if not given: how often scalars are written and a signal is heeded."""
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
    with cli.one_line_errors():
        options = cli.parse(Options, args)
        _join(options)
        with _lost_contact():
            if options.resume:
                with main_first("saved"):
                    saved = restore_newest_whole(options.out / "checkpoints").info.config
                options = cli.parse(Options, args, default=Options(config=saved))
            train(options)


def _join(options: Options) -> None:
    """Joins the other processes, before anything touches a device."""
    if options.distributed:
        start(options.coordinator, options.processes, options.process)
    for name in ("coordinator", "processes", "process"):
        if not options.distributed and (value := getattr(options, name)) is not None:
            raise ValueError(f"{name} must go with --distributed, got {value} without")


@contextlib.contextmanager
def _lost_contact() -> Iterator[None]:
    """Ends this process with code 4 when another one is gone; nothing can be waited for then."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or "RESOURCE_EXHAUSTED" in str(error):
            raise
        reason = str(error).strip().splitlines()[0]
        print(
            f"error: process {jax.process_index()} lost contact with another process; the last "
            f"checkpoint is whole, go on with --resume ({reason})",
            file=sys.stderr,
            flush=True,
        )
        os._exit(4)


def train(options: Options) -> None:
    """Trains, or goes on with, the run that the options describe.

    SIGTERM and SIGINT end the run after the current turn with a checkpoint and exit code 143 or
    130; a second one ends it at once.

    Raises:
        ValueError: options that fit neither the folder nor the data.
        SystemExit: 143 or 130 after a signal, whichever process it came to, 3 after too many steps
            that were not finite.
    """
    started = time.perf_counter()
    for name in ("save_every", "keep", "patience", "segment"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    out, checkpoints = options.out, options.out / "checkpoints"
    if checkpoints.exists() and not options.resume:
        raise ValueError(f"{out} holds a run already: go on with --resume, or choose another --out")
    with main_first("inputs"):
        inputs = load_inputs(options.inputs, load_dataset(options.data))
    info = inputs.info(options.config)
    trainer = info.trainer
    if options.distributed:
        trainer = dataclasses.replace(trainer, mesh=make_mesh(options.model_devices))
    with sole_writer(out) if is_main() else contextlib.nullcontext():
        if options.resume:
            with main_first("state"):
                state, saved = restore_newest_whole(checkpoints)
            _refuse_other_run(saved, info)
            state = trainer.place(state)
        else:
            state = trainer.init(inputs.train)
        state = _run(options, inputs, info, trainer, state)
        if is_main():
            if options.distributed:
                state = restore_checkpoint(checkpoints).state
            row = _measure(Inference(state, info), inputs, started)
            ResultsFile(out).add(row)
            values = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
            progress.console.print(f"test images: {values}")
            progress.console.print(f"checkpoint: {latest_checkpoint(checkpoints)}")
    barrier("end")


def _run(
    options: Options, inputs: Inputs, info: RunInfo, trainer: Trainer, state: TrainState
) -> TrainState:
    """Trains from `state` to the end, with scalars and checkpoints on the way."""
    start_step = int(state.step)
    turns = trainer.epochs(state, inputs.train, options.segment, options.patience)
    config = info.config.to_dict()
    sinks = open_sinks(options.out, start_step, config, options.wandb) if is_main() else Sinks()
    log = ImportanceLog(options.out, trainer.total_steps, start_step) if is_main() else None
    shown = progress.show(turns, trainer, str(options.out), start_step) if is_main() else turns
    writer = CheckpointWriter(options.out / "checkpoints", info, options.keep)
    stop = 0
    with Interruption() as interruption, writer, sinks:
        try:
            for number, turn in enumerate(shown, start=1):
                state, step = turn.state, int(turn.state.step)
                sinks.write(step, {"epoch": step / trainer.steps_per_epoch} | turn.terms)
                if log is not None and turn.importance_SxD is not None:
                    log.write(step, turn.importance_SxD)
                stop = largest(interruption.signal or 0)
                if number % options.save_every == 0 or stop or step == trainer.total_steps:
                    writer.save(state, turn.terms["reconstruction"])
                if stop:
                    break
        except NonFiniteError as error:
            print(f"error: {error}", file=sys.stderr)
            writer.save(error.state)
            writer.wait()
            raise SystemExit(3) from None
    if stop:
        name = signal.Signals(stop).name
        print(f"{name}: saved step {step}; go on with --resume", file=sys.stderr)
        raise SystemExit(128 + stop)
    return state


def _measure(inference: Inference, inputs: Inputs, started: float) -> Row:
    test = inputs.float_test
    codes = inference.encode(test)
    decoded = np.asarray(inference.decode(codes))
    metrics = (
        reconstruction_metrics(decoded.clip(0.0, 1.0), test)
        if inputs.are_images
        else {"explained_variance": explained_variance(test, decoded)}
    )
    metrics["active_dims"] = len(inference.active_dims)
    metrics["active_latents"] = float(np.mean(np.sum(np.asarray(codes) != 0, axis=1)))
    return Row(
        experiment="train",
        variant=f"KL {inference.config.latent_reduction} over latents",
        model=inference.config.model,
        config=inference.config.to_dict(),
        seed=inference.config.seed,
        data=inputs.about,
        metrics=metrics,
        seconds=round(time.perf_counter() - started, 2),
    )


def _refuse_other_run(saved: RunInfo, asked: RunInfo) -> None:
    for field in dataclasses.fields(Config):
        before, now = getattr(saved.config, field.name), getattr(asked.config, field.name)
        if before != now:
            raise ValueError(
                f"--resume goes on with the saved configuration: {field.name} was {before!r}, "
                f"got {now!r}"
            )
    if saved.data_digest != asked.data_digest:
        raise ValueError(f"--resume needs the same data: it was {saved.data}, got {asked.data}")


if __name__ == "__main__":
    main()
