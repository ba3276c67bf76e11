"""Trains one model and keeps its checkpoints.

python -m experiments.train --out runs/my-model --model top_k_vae --k 8 --epochs 15
python -m experiments.train --out runs/my-model --resume
"""

import dataclasses
import time
from pathlib import Path

import numpy as np

from experiments import cli, progress
from experiments.results import ResultsFile, Row
from vae_topk_jax.checkpoint import (
    RunInfo,
    latest_checkpoint,
    read_info,
    restore_checkpoint,
    save_checkpoint,
)
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, load_dataset, to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import reconstruction_metrics


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains one model and keeps its checkpoints."""

    config: Config = dataclasses.field(default_factory=Config)
    out: Path = Path("runs/model")
    """Folder of the checkpoints, of scalars.jsonl and of results.json."""
    data: str = "auto"
    """Images: "auto", a folder of IDX files, "download", "npm", "embedded" or "tfds:NAME"."""
    resume: bool = False
    """Go on from the newest checkpoint in the folder, with the configuration saved there."""
    save_every: int = 1
    """Epochs between checkpoints; the last epoch is always kept."""


def main(args: list[str] | None = None) -> None:
    """Parses the command line and trains."""
    with cli.one_line_errors():
        options = cli.parse(Options, args)
        if options.resume:
            saved = read_info(options.out / "checkpoints").config
            options = cli.parse(Options, args, default=Options(config=saved))
        train(options)


def train(options: Options) -> None:
    """Trains, or goes on with, the run that the options describe.

    Raises:
        ValueError: options that fit neither the folder nor the data.
    """
    config, out, save_every = options.config, options.out, options.save_every
    started = time.perf_counter()
    if save_every < 1:
        raise ValueError(f"save_every must be at least 1, got {save_every}")
    checkpoints = out / "checkpoints"
    if checkpoints.exists() and not options.resume:
        raise ValueError(f"{out} holds a run already: go on with --resume, or choose another --out")
    dataset = load_dataset(options.data)
    info = RunInfo(config, dataset.image_shape, dataset.describe(), dataset.digest)
    trainer = info.trainer
    if options.resume:
        state, saved = restore_checkpoint(checkpoints)
        _refuse_other_run(saved, info)
    else:
        state = trainer.init(dataset.train_images)

    done = int(state.step) // trainer.steps_per_epoch
    scalars = progress.Scalars(out, resume_step=int(state.step))
    epochs = trainer.epochs(state, dataset.train_images)
    for number, epoch in enumerate(progress.show(epochs, trainer, str(out), done), start=done + 1):
        state = epoch.state
        scalars.write(int(state.step), {"epoch": number} | epoch.terms)
        if number % save_every == 0 or number == config.epochs:
            save_checkpoint(checkpoints, state, info)

    row = _measure(Inference(state, info), dataset, started)
    ResultsFile(out).add(row)
    values = ", ".join(f"{name} {value:.4g}" for name, value in row.metrics.items())
    progress.console.print(f"test images: {values}")
    progress.console.print(f"checkpoint: {latest_checkpoint(checkpoints)}")


def _measure(inference: Inference, dataset: Dataset, started: float) -> Row:
    test = to_unit_float(dataset.test_images)
    codes = inference.encode(test)
    metrics = reconstruction_metrics(inference.decode(codes), test)
    metrics["active_dims"] = len(inference.active_dims)
    metrics["active_latents"] = float(np.mean(np.sum(np.asarray(codes) != 0, axis=1)))
    return Row(
        experiment="train",
        variant=f"KL {inference.config.latent_reduction} over latents",
        model=inference.config.model,
        config=inference.config.to_dict(),
        seed=inference.config.seed,
        data=dataset.describe(),
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
