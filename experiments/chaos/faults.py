"""Faults of files, numbers and arguments, each a function of the number of trials.

A fault counts the trials with the right outcome and raises on the first wrong one, so that a row
in the table of `experiments.chaos` says what was really tried.
"""

import contextlib
import dataclasses
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from experiments.chaos.small_run import (
    SHAPE,
    SMALL,
    WrongOutcomeError,
    bits_of,
    require,
    small_run,
    temporary_folder,
    write_images,
)
from vae_topk_jax.checkpoint import (
    CheckpointError,
    restore_checkpoint,
    restore_newest_whole,
    save_checkpoint,
)
from vae_topk_jax.checkpoint_folder import checkpoints
from vae_topk_jax.data import DataError, load_dataset
from vae_topk_jax.training import Trainer

Rng = np.random.Generator
Change = Callable[[bytes], bytes]


def damage(trials: int) -> str:
    """A bit flipped anywhere, or any file truncated or deleted: refused, and the file named; a run
    that is resumed goes back to the checkpoint before."""
    rng, tried = np.random.default_rng(0), 0
    with temporary_folder() as folder, _quiet_log():
        _, state, info = small_run()
        save_checkpoint(folder, state, info)
        path = save_checkpoint(folder, dataclasses.replace(state, step=state.step + 1), info)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        sizes = np.array([file.stat().st_size for file in files])
        flips = rng.choice(len(files), trials, p=sizes / sizes.sum())
        faults: list[tuple[Path, Change | None]] = [(files[i], _flip(rng)) for i in flips]
        faults += [(f, change) for f in files if f.stat().st_size for change in (_truncate, None)]
        for file, change in faults:
            with _changed(file, change):
                _refused(lambda: restore_checkpoint(path), file.name, CheckpointError)
                if tried % 10 == 0:
                    back = restore_newest_whole(folder).state
                    require(int(back.step) == int(state.step), f"{file.name}: no way back")
                    path.with_name(f"{path.name}.damaged-1").rename(path)
            tried += 1
        restore_checkpoint(path)
    return f"{trials} flips and {tried - trials} truncations and deletions in {len(files)} files"


def data(trials: int) -> str:
    """Gzipped data files flipped, truncated or swapped: refused, or the same arrays."""
    rng, refused = np.random.default_rng(0), 0
    with temporary_folder() as folder, _quiet_log():
        write_images(folder, suffix=".gz")
        digest = load_dataset(folder).digest
        files = sorted(folder.iterdir())
        for trial in range(trials):
            file = files[rng.integers(len(files))]
            change = [_flip(rng), _truncate, lambda _: files[0].read_bytes()][trial % 3]
            with _changed(file, change):
                try:
                    require(load_dataset(folder).digest == digest, f"{file.name}: other data")
                except DataError:
                    refused += 1
    return f"{refused} refused, {trials - refused} the same arrays"


def disk(trials: int) -> str:
    """A disk that fills up while saving (a file system of its own): refused in one line."""
    with temporary_folder() as folder:
        call = (
            f"from experiments.chaos.faults import fill_disk; fill_disk({str(folder)!r}, {trials})"
        )
        mount = f'mount -t tmpfs -o size=400k tmpfs {folder} && exec {sys.executable} -c "{call}"'
        done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True)
    require(done.returncode == 0, done.stderr)
    return f"{done.stdout.count('No space left')} refused, the step before whole each time"


def fill_disk(folder: str, positions: int) -> None:
    """Saves onto a disk with less and less room, where `folder` is its root; prints the errors."""
    _, state, info = small_run()
    path = save_checkpoint(Path(folder) / "run", state, info)
    size = sum(file.stat().st_size for file in path.rglob("*"))
    later = dataclasses.replace(state, step=state.step + 1)
    for position in range(positions):
        room = os.statvfs(folder)
        ballast = room.f_bavail * room.f_frsize - int(0.9 * size * position / positions)
        (Path(folder) / "ballast").write_bytes(bytes(max(0, ballast)))
        try:
            save_checkpoint(Path(folder) / "run", later, info)
        except CheckpointError as error:
            print(error)
        else:
            raise WrongOutcomeError(f"position {position} was saved")
        (Path(folder) / "ballast").unlink()
        require([path] == checkpoints(Path(folder) / "run"), "the step before is gone")
        restore_checkpoint(path)


def nonfinite(trials: int) -> str:
    """NaN, infinities and huge values in a batch: nothing but the count of steps changes."""
    rng = np.random.default_rng(0)
    trainer, state, _ = small_run()
    for trial in range(trials):
        x = rng.uniform(size=(32, *SHAPE)).astype(np.float32)
        where = rng.uniform(size=x.shape) < rng.choice([0.0005, 0.01, 1.0])
        where.flat[rng.integers(where.size)] = True
        x[where] = [np.nan, np.inf, -np.inf, 3e38][trial % 4]
        before = bits_of(state, "params", "opt_state", "batch_stats")
        state, terms = trainer.train_step(state, jnp.asarray(x))
        require(bits_of(state, "params", "opt_state", "batch_stats") == before, f"trial {trial}")
        require(float(terms["skipped"]) == 1, f"trial {trial} was not counted")
    return "state unchanged to the bit, each counted"


def configurations(trials: int) -> str:
    """Any values and any command line: one line and exit code 2, or a valid run."""
    from experiments.chaos import random_configurations

    return random_configurations.configurations(trials)


def arrays(trials: int) -> str:
    """Any arrays to the public functions: what NumPy has, or refused in one line."""
    from experiments.chaos import random_arrays

    return random_arrays.arrays(trials)


def foreign(trials: int) -> str:
    """Runs, checkpoints and model files of strangers (links, pipes and devices, odd names, bytes,
    JSON, tensors): read, or refused in one line that names the file, within a minute and 1 GiB."""
    from experiments.chaos import foreign_folders

    return foreign_folders.try_folders_apart(trials)


def endurance(trials: int) -> str:
    """`trials` steps of a small model: no growth of memory or of compiled programs."""
    images = np.random.default_rng(0).integers(0, 256, (4096, *SHAPE), np.uint8)
    steps_an_epoch = len(images) // SMALL.batch_size
    config = SMALL.replace(epochs=max(4, trials // steps_an_epoch))
    trainer = Trainer(config, SHAPE, len(images))
    sizes: list[float] = []
    for turn in trainer.epochs(trainer.init(), images):
        turn.terms.clear()
        sizes.append(_resident_mebibytes())
    settled, end = sizes[len(sizes) // 2], sizes[-1]
    require(end < settled + 16, f"memory grew from {settled:.0f} to {end:.0f} MiB")
    programs = getattr(trainer.segment, "_cache_size")()  # noqa: B009
    require(programs == 1, f"{programs} programs were compiled")
    return f"{settled:.0f} MiB half-way, {end:.0f} MiB at the end, one program"


def _flip(rng: Rng) -> Change:
    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
        return bytes(changed)

    return flip


def _truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


@contextlib.contextmanager
def _changed(file: Path, change: Change | None) -> Iterator[None]:
    """The file with its content changed, or (None) without the file; afterwards as it was."""
    content = file.read_bytes()
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(content))
    try:
        yield
    finally:
        file.write_bytes(content)


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _refused(action: Callable[[], object], named: str, error: type[Exception]) -> None:
    try:
        action()
    except error as refusal:
        require(named in str(refusal) and "\n" not in str(refusal), f"{named}: {refusal}")
    else:
        raise WrongOutcomeError(f"{named}: not refused")


def _resident_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
