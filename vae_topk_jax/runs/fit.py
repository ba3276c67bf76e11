"""One call from an array to a trained model."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from vae_topk_jax.checkpoint import CheckpointWriter, restore_checkpoint, restore_newest_whole
from vae_topk_jax.checkpoint_folder import CHECKPOINTS, checkpoint_name
from vae_topk_jax.config import Config
from vae_topk_jax.data.rows import Rows, chunks
from vae_topk_jax.files import check_path
from vae_topk_jax.inference import Inference
from vae_topk_jax.processes import agreed, all_or_none, is_main, largest, require_same
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.runs.held_out import with_held_out
from vae_topk_jax.runs.importance_log import ImportanceLog
from vae_topk_jax.runs.inputs import Inputs, Trainable, as_inputs
from vae_topk_jax.runs.interruption import Interrupted, Interruption
from vae_topk_jax.runs.progress import show
from vae_topk_jax.runs.run_folder import (
    check_unused,
    clear_unfinished,
    saved_info,
    sole_writer,
    write_names,
)
from vae_topk_jax.runs.scalars import Sinks, open_sinks
from vae_topk_jax.sharding import make_mesh, to_host
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import EpochResult, NonFiniteError, Trainer
from vae_topk_jax.training_inputs import checked_labels, labels_of

_log = logging.getLogger("vae_topk_jax.data")


def fit(
    images: Trainable,
    config: Config | None = None,
    *,
    labels: ArrayLike | None = None,
    test: ArrayLike | None = None,
    test_labels: ArrayLike | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    progress: bool = True,
    save_every: int = 1,
    segment: int | None = None,
    keep: int = 3,
    patience: int = 100,
    mesh: Mesh | None = None,
    wandb: str | None = None,
    source: str | None = None,
) -> Inference:
    """Trains a model on images, or on vectors.

    With `out` the run leaves a folder: `checkpoints/`, `scalars.jsonl` (the loss terms of every
    turn) and `importance.jsonl`. A run that was stopped or killed goes on from its newest
    checkpoint with `resume=True` and ends with the bits and the scalars of one that never stopped.
    SIGINT and SIGTERM end it after the current turn with a checkpoint; a second signal acts as it
    did before the call. A turn is an epoch, or `segment` steps.

    Args:
        images: training images, uint8 or floating, (N, H, W) or (N, H, W, C), or vectors (N, F).
            Floating ones lie in [0, 1], but for "batch_topk_sae" and for the likelihoods of any
            values (`vae_topk_jax.likelihoods`). Or a dataset, or what `load_dataset` loads one
            from, such as the path of a file. What takes more than a quarter of the memory stays
            where it is, memory-mapped, and is read batch by batch; the numbers are the same.
        config: the configuration; None: `Config()`, or with `resume` the saved one.
        labels: whole numbers (N,), the classes of the images, for a configuration with `classes`; a
            dataset has its own. Numbers (N, A) for one with `attributes`.
        test: more images of that kind, never trained on; their loss terms are part of the scalars
            after each epoch, as `test_loss` and so on.
        test_labels: those of `test`.
        out: the run's folder; None: nothing is written, and signals act as they did.
        resume: go on from the newest checkpoint in `out`; the images and the configuration must be
            the saved ones.
        progress: show a progress bar.
        save_every: turns between checkpoints; the last is always kept.
        segment: steps per turn; None: an epoch.
        keep: how many of the newest checkpoints are kept, besides the one with the smallest
            reconstruction error.
        patience: how many steps in a row may be skipped because they are not finite.
        mesh: the devices to train on, from `sharding.make_mesh`; None: one device or, where several
            processes were joined (`processes.start`), all devices of all of them. All processes
            make the same call.
        wandb: the project of Weights & Biases that gets the scalars as well (extra `wandb`).
        source: where an array comes from, for the checkpoints and the model card.

    Returns:
        The trained model, on one device.

    Raises:
        ValueError: images or labels that the model does not take, a folder that holds a run already
            or is being written, a `resume` with nothing to go on from, or with other images or
            another configuration; a disk that cannot be written.
        NonFiniteError: `patience` steps in a row were not finite; a checkpoint of the last good
            state is kept in `out`.
        Interrupted: SIGINT or SIGTERM; a checkpoint of the last step is kept in `out`. It is a
            KeyboardInterrupt and, where nothing catches it, ends the process with exit code 130 or
            143.
        jax.errors.JaxRuntimeError: another process of the run is gone.

    Examples:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
        >>> config = Config(latent_dim=8, k=2, widths=(16,), batch_size=32, epochs=2)
        >>> model = fit(images, config, progress=False)
        >>> model.encode(images[:4, ..., None].astype(np.float32) / 255).shape
        (4, 8)
    """
    options = {"save_every": save_every, "segment": segment, "keep": keep, "patience": patience}
    for name, value in options.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if out is None and (resume or wandb):
        raise ValueError("out must be given with resume or wandb: it is the folder of the run")
    folder = None if out is None else Path(out)
    with all_or_none():
        if folder is not None:
            check_path("out", folder)
        read = functools.partial(as_inputs, images, test, source, labels, test_labels)
        trainer, info, inputs = _prepare(read, config, folder, resume, mesh)
        is_told = bool(labels_of(info.config))
        asked = (inputs.train_labels, inputs.test_labels) if is_told else (labels, test_labels)
        label_N = checked_labels(info.config, asked[0], len(inputs.train))
        test_label_N = None
        if test is not None or asked[1] is not None:
            test_label_N = checked_labels(info.config, asked[1], len(inputs.test), "test_labels")
    require_same(
        options
        | {"out": None if out is None else str(out), "resume": resume}
        | info.config.to_dict()
        | {"data": info.data | {"digest": info.data_digest[:16]}, "mesh": str(trainer.mesh)}
    )

    def turns(state: TrainState) -> Iterator[EpochResult]:
        step = int(state.step)
        turns = trainer.epochs(state, inputs.train, segment, patience, label_N)
        if test is not None:
            turns = with_held_out(turns, trainer, inputs.float_test, test_label_N)
        if progress and is_main():
            turns = show(turns, trainer, str(out or info.config.model), step)
        return turns

    if folder is None:
        state = trainer.init(inputs.train)
        for turn in turns(state):
            state = turn.state
    else:
        with contextlib.ExitStack() as held:
            with all_or_none():
                if is_main():
                    held.enter_context(sole_writer(folder))
                    clear_unfinished(folder)
                    if not resume:
                        check_unused(folder)
                    write_names(folder, inputs.names)
            state = _resumed(folder, trainer) if resume else trainer.init(inputs.train)
            with all_or_none():
                sinks, log = _open(folder, trainer, int(state.step), wandb)
            writer = CheckpointWriter(folder / CHECKPOINTS, info, keep)
            with writer, sinks:
                state = _save_turns(turns(state), state, trainer, sinks, log, writer, save_every)
    return Inference(state if trainer.mesh is None else _on_one_device(state), info, copy=False)


def _prepare(
    read: Callable[[], Inputs],
    config: Config | None,
    folder: Path | None,
    resume: bool,
    mesh: Mesh | None,
) -> tuple[Trainer, RunInfo, Inputs]:
    """Looks at what is given and at the folder, and changes nothing there."""
    saved = None
    if folder is not None and resume:
        saved = saved_info(folder)
    elif folder is not None:
        check_unused(folder)
    inputs = read()
    info = inputs.info(config or (saved.config if saved else Config()))
    if saved is not None:
        _refuse_other_run(saved, info)
    if mesh is None and jax.process_count() > 1:
        mesh = make_mesh()
    trainer = dataclasses.replace(info.trainer, mesh=mesh)
    for given in (inputs.train, inputs.test):
        if given.dtype == np.float32:
            for chunk in chunks(given):
                trainer.check_values(chunk)
    if isinstance(inputs.train, Rows) and is_main():
        _log.info(
            "the %.3g GB of training examples stay in their files and are read batch by batch",
            inputs.train.nbytes / 1e9,
        )
    return trainer, info, inputs


def _resumed(folder: Path, trainer: Trainer) -> TrainState:
    """The state of the newest intact checkpoint, in every process the same one."""
    with all_or_none():
        state = restore_newest_whole(folder).state if is_main() else None
    step = int(agreed("" if state is None else str(int(state.step))))
    with all_or_none():
        if state is None:
            state = restore_checkpoint(folder / CHECKPOINTS / checkpoint_name(step)).state
    return trainer.place(state)


def _open(
    folder: Path, trainer: Trainer, step: int, wandb: str | None
) -> tuple[Sinks, ImportanceLog | None]:
    """Where process 0 writes scalars and importances; nowhere in the others."""
    if not is_main():
        return Sinks(), None
    sinks = open_sinks(folder, step, trainer.config.to_dict(), wandb)
    return sinks, ImportanceLog(folder, trainer.total_steps, step)


def _save_turns(
    turns: Iterator[EpochResult],
    state: TrainState,
    trainer: Trainer,
    sinks: Sinks,
    log: ImportanceLog | None,
    writer: CheckpointWriter,
    save_every: int,
) -> TrainState:
    """The last state of the turns, whose scalars and checkpoints are written on the way."""
    saved = int(state.step)
    with Interruption() as interruption:
        try:
            for number, turn in enumerate(turns, start=1):
                state, step = turn.state, int(turn.state.step)
                sinks.write(step, {"epoch": step / trainer.steps_per_epoch} | turn.terms)
                if log is not None and turn.importance_SxD is not None:
                    log.write(step, turn.importance_SxD)
                stop = largest(interruption.signal or 0)
                if number % save_every == 0 or stop or step == trainer.total_steps:
                    writer.save(state, turn.terms["reconstruction"])
                    saved = step
                if stop:
                    writer.wait()
                    raise Interrupted(stop, step)
        except NonFiniteError as error:
            if int(error.state.step) != saved:
                writer.save(error.state)
                writer.wait()
            raise
    return state


def _refuse_other_run(saved: RunInfo, asked: RunInfo) -> None:
    before, now = saved.config.to_dict(), asked.config.to_dict()
    for name in before | now:
        if before.get(name) != now.get(name):
            raise ValueError(
                f"resume goes on with the saved configuration: {name} was "
                f"{before.get(name)!r}, got {now.get(name)!r}"
            )
    if saved.data_digest != asked.data_digest:
        raise ValueError(f"resume needs the same data: it was {saved.data}, got {asked.data}")


def _on_one_device(state: TrainState) -> TrainState:
    host = to_host(dataclasses.replace(state, rng=jax.random.key_data(state.rng)))
    local = jax.tree.map(jnp.asarray, host)
    return dataclasses.replace(local, rng=jax.random.wrap_key_data(local.rng))
