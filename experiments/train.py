"""Trains one model and keeps its checkpoints.

python -m experiments.train --out runs/my-model --model top_k_vae --k 8 --epochs 15
python -m experiments.train --out runs/my-model --resume
"""

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np

from experiments import cli, progress
from experiments.activations import PIXELS, Inputs, load_inputs
from experiments.interruption import Interruption, sole_writer
from experiments.results import ResultsFile, Row
from experiments.sinks import open_sinks
from vae_topk_jax.checkpoint import (
    CheckpointWriter,
    RunInfo,
    latest_checkpoint,
    restore_newest_whole,
)
from vae_topk_jax.config import Config
from vae_topk_jax.data import load_dataset
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import explained_variance, reconstruction_metrics
from vae_topk_jax.training import NonFiniteError, TrainState


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains one model and keeps its checkpoints."""

    config: Config = dataclasses.field(default_factory=Config)
    out: Path = Path("runs/model")
    """Folder of the checkpoints, of scalars.jsonl and of results.json."""
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


def main(args: list[str] | None = None) -> None:
    """Parses the command line and trains."""
    with cli.one_line_errors():
        options = cli.parse(Options, args)
        if options.resume:
            saved = restore_newest_whole(options.out / "checkpoints").info.config
            options = cli.parse(Options, args, default=Options(config=saved))
        train(options)


def train(options: Options) -> None:
    """Trains, or goes on with, the run that the options describe.

    SIGTERM and SIGINT end the run after the current turn with a checkpoint and exit code 143 or
    130; a second one ends it at once.

    Raises:
        ValueError: options that fit neither the folder nor the data.
        SystemExit: 143 or 130 after a signal, 3 after too many steps that were not finite.
    """
    started = time.perf_counter()
    for name in ("save_every", "keep", "patience", "segment"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    out, checkpoints = options.out, options.out / "checkpoints"
    if checkpoints.exists() and not options.resume:
        raise ValueError(f"{out} holds a run already: go on with --resume, or choose another --out")
    inputs = load_inputs(options.inputs, load_dataset(options.data))
    info = inputs.info(options.config)
    trainer = info.trainer
    with sole_writer(out):
        if options.resume:
            state, saved = restore_newest_whole(checkpoints)
            _refuse_other_run(saved, info)
        else:
            state = trainer.init(inputs.train)
        state = _run(options, inputs, info, state)
        row = _measure(Inference(state, info), inputs, started)
        ResultsFile(out).add(row)
    values = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
    progress.console.print(f"test images: {values}")
    progress.console.print(f"checkpoint: {latest_checkpoint(checkpoints)}")


def _run(options: Options, inputs: Inputs, info: RunInfo, state: TrainState) -> TrainState:
    """Trains from `state` to the end, with scalars and checkpoints on the way."""
    trainer, start = info.trainer, int(state.step)
    sinks = open_sinks(options.out, start, info.config.to_dict(), options.wandb)
    turns = trainer.epochs(state, inputs.train, options.segment, options.patience)
    shown = progress.show(turns, trainer, str(options.out), start)
    writer = CheckpointWriter(options.out / "checkpoints", info, options.keep)
    with Interruption() as interruption, writer, sinks:
        try:
            for number, turn in enumerate(shown, start=1):
                state, step = turn.state, int(turn.state.step)
                sinks.write(step, {"epoch": step / trainer.steps_per_epoch} | turn.terms)
                is_last = step == trainer.total_steps or interruption.signal is not None
                if number % options.save_every == 0 or is_last:
                    writer.save(state, turn.terms["reconstruction"])
                if interruption.signal is not None:
                    break
        except NonFiniteError as error:
            writer.save(error.state)
            writer.wait()
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(3) from None
    if interruption.signal is not None:
        print(
            f"{interruption.signal.name}: saved step {step}; go on with --resume", file=sys.stderr
        )
        raise SystemExit(interruption.exit_code)
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
