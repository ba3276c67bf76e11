"""What the library withstands: faults tried many times, and a table of what came of them.

    python -m experiments.chaos --out runs/chaos
    python -m experiments.chaos --only damage nonfinite --share 0.1

Every fault is a function of a number of trials that counts those with the right outcome and raises
on the first wrong one, so that a row in the table says what was really tried.
"""

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from experiments import cli
from experiments.environment import environment
from experiments.progress import console
from experiments.sinks import read_scalars
from vae_topk_jax.checkpoint import (
    CheckpointError,
    RunInfo,
    checkpoints,
    restore_checkpoint,
    save_checkpoint,
)
from vae_topk_jax.config import Config
from vae_topk_jax.data import DataError, load_dataset
from vae_topk_jax.data.idx import MNIST, write_idx
from vae_topk_jax.files import write_atomic
from vae_topk_jax.selection import batch_top_k_mask
from vae_topk_jax.training import Trainer, TrainState

SMALL = Config(latent_dim=8, k=2, widths=(32,), batch_size=32, epochs=20, sensitivity_every=4)
SHAPE = (8, 8, 1)
Rng = np.random.Generator
Change = Callable[[bytes], bytes]


class WrongOutcomeError(AssertionError):
    """A fault that did what it must not."""


def kill(trials: int) -> str:
    """kill -9 at a random moment of training or saving: a run that is killed until `trials` are
    reached, and each time resumed, ends with the bits and the scalars of one never killed."""
    killed = runs = 0
    rng = np.random.default_rng(0)
    with _folder() as folder:
        _write_images(folder / "data", suffix="")
        whole, seconds = folder / "whole", time.perf_counter()
        _train(folder / "data", whole).wait()
        seconds = time.perf_counter() - seconds
        while killed < trials:
            out = folder / f"run-{runs}"
            while killed < trials:
                process = _train(folder / "data", out)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=rng.uniform(0.3, 1.0) * seconds)
                    break
                process.kill()
                process.wait()
                killed += 1
            _train(folder / "data", out).wait()
            _require(_outcome(out) == _outcome(whole), f"run {runs} ended with other bits")
            shutil.rmtree(out)
            runs += 1
    return f"{killed} kills in {runs} runs, every run bit-exact at its end"


def damage(trials: int) -> str:
    """A bit flipped anywhere, or any file truncated or deleted: refused, and the file named."""
    rng, tried = np.random.default_rng(0), 0
    with _folder() as folder:
        _, state, info = _small_run()
        path = save_checkpoint(folder, state, info)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        sizes = np.array([file.stat().st_size for file in files])
        flips = rng.choice(len(files), trials, p=sizes / sizes.sum())
        faults: list[tuple[Path, Change | None]] = [(files[i], _flip(rng)) for i in flips]
        faults += [(f, change) for f in files if f.stat().st_size for change in (_truncate, None)]
        for file, change in faults:
            with _changed(file, change):
                _refused(lambda: restore_checkpoint(path), file.name, CheckpointError)
            tried += 1
        restore_checkpoint(path)
    return f"{trials} flips and {tried - trials} truncations and deletions in {len(files)} files"


def data(trials: int) -> str:
    """Gzipped data files flipped, truncated or swapped: refused, or the same arrays."""
    rng, refused = np.random.default_rng(0), 0
    with _folder() as folder:
        _write_images(folder, suffix=".gz")
        logging.disable(logging.INFO)
        digest = load_dataset(str(folder)).digest
        files = sorted(folder.iterdir())
        for trial in range(trials):
            file = files[rng.integers(len(files))]
            change = [_flip(rng), _truncate, lambda _: files[0].read_bytes()][trial % 3]
            with _changed(file, change):
                try:
                    _require(load_dataset(str(folder)).digest == digest, f"{file.name}: other data")
                except DataError:
                    refused += 1
    logging.disable(logging.NOTSET)
    return f"{refused} refused, {trials - refused} the same arrays"


def disk(trials: int) -> str:
    """A disk that fills up while saving (a file system of its own): refused in one line."""
    with _folder() as folder:
        call = f"from experiments.chaos import fill_disk; fill_disk({str(folder)!r}, {trials})"
        mount = f'mount -t tmpfs -o size=400k tmpfs {folder} && exec {sys.executable} -c "{call}"'
        done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, text=True)
    _require(done.returncode == 0, done.stderr)
    return f"{done.stdout.count('No space left')} refused, the step before whole each time"


def fill_disk(folder: str, positions: int) -> None:
    """Saves onto a disk with less and less room, where `folder` is its root; prints the errors."""
    _, state, info = _small_run()
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
        _require([path] == checkpoints(Path(folder) / "run"), "the step before is gone")
        restore_checkpoint(path)


def nonfinite(trials: int) -> str:
    """NaN, infinities and huge values in a batch: nothing but the count of steps changes."""
    rng = np.random.default_rng(0)
    trainer, state, _ = _small_run()
    for trial in range(trials):
        x = rng.uniform(size=(32, *SHAPE)).astype(np.float32)
        where = rng.uniform(size=x.shape) < rng.choice([0.0005, 0.01, 1.0])
        where.flat[rng.integers(where.size)] = True
        x[where] = [np.nan, np.inf, -np.inf, 3e38][trial % 4]
        before = _bits(state, "params", "opt_state", "batch_stats")
        state, terms = trainer.train_step(state, jnp.asarray(x))
        _require(_bits(state, "params", "opt_state", "batch_stats") == before, f"trial {trial}")
        _require(float(terms["skipped"]) == 1, f"trial {trial} was not counted")
    return "state unchanged to the bit, each counted"


def configurations(trials: int) -> str:
    """Random values of random fields: a configuration, or one line that names the field."""
    rng, good = np.random.default_rng(0), 0
    anything = [-1, 0, 3, 10**9, np.nan, np.inf, "", "mlp", None, True, (1,), (0,), [], {}]
    fitting: dict[Any, list[Any]] = {bool: [True, False], int: [1, 4, 64], float: [0.0, 0.25, 1.0]}
    fitting[str] = ["kl", "abs_mu"]
    fields: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Config)}
    for _ in range(trials):
        given: dict[str, Any] = {}
        for name in rng.choice(list(fields), rng.integers(1, 4), replace=False):
            choices = fitting.get(fields[name]) or list(get_args(fields[name])) or anything
            pool = anything if rng.uniform() < 0.4 else choices
            given[str(name)] = pool[rng.integers(len(pool))]
        try:
            config = Config(**given)
        except ValueError as error:
            _require("\n" not in str(error), f"{given}: several lines")
            _require(any(name in str(error) for name in fields), f"{given}: {error}")
        else:
            _require(Config.from_json(config.to_json()) == config, f"{given}: not itself again")
            good += 1
    return f"{good} valid, {trials - good} refused in one line that names a field"


def arrays(trials: int) -> str:
    """Arrays of any shape, type and value, and any k, to the mask: NumPy's, or a clear error."""
    rng, right = np.random.default_rng(0), 0
    for _ in range(trials):
        shape = tuple(rng.integers(0, 6, rng.choice([0, 1, 1, 1, 1, 1, 2])))
        values = rng.choice([-1.0, 0.0, 0.5, 2.0, 7.0, np.inf, -np.inf, np.nan], shape)
        importance = np.asarray(values).astype(rng.choice(["float32", "float16"]))
        wrong: list[Any] = [-1, 0, 99, 1.5, "2", None]
        k: Any = wrong[rng.integers(len(wrong))] if rng.uniform() < 0.3 else int(rng.integers(1, 5))
        try:
            mask = np.asarray(batch_top_k_mask(jnp.asarray(importance), k))
        except (ValueError, TypeError) as error:
            _require("\n" not in str(error), f"k={k!r}, shape {shape}: several lines")
            continue
        ranked = np.where(np.isnan(importance), -np.inf, importance)
        kept = np.argsort(-ranked, kind="stable")[: int(k)]
        expected = np.zeros(shape)
        expected[kept[ranked[kept] > -np.inf]] = 1
        _require(np.array_equal(mask, expected), f"{importance} with k={k}: {mask}")
        right += 1
    return f"{right} as NumPy has it, {trials - right} refused"


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
    _require(end < settled + 16, f"memory grew from {settled:.0f} to {end:.0f} MiB")
    programs = getattr(trainer.segment, "_cache_size")()  # noqa: B009
    _require(programs == 1, f"{programs} programs were compiled")
    return f"{settled:.0f} MiB half-way, {end:.0f} MiB at the end, one program"


FAULTS: dict[str, tuple[Callable[[int], str], int]] = {
    "kill": (kill, 100),
    "damage": (damage, 200),
    "data": (data, 200),
    "disk": (disk, 20),
    "nonfinite": (nonfinite, 50),
    "configurations": (configurations, 1000),
    "arrays": (arrays, 1000),
    "endurance": (endurance, 1_000_000),
}


def _train(data: Path, out: Path) -> subprocess.Popen:
    """A run that goes on with what is in its folder, if anything is."""
    flags = ["--data", str(data), "--out", str(out), "--segment", "9", "--epochs", "20"]
    flags += ["--latent-dim", "8", "--k", "2", "--widths", "32", "--batch-size", "32"]
    if checkpoints(out / "checkpoints"):
        flags.append("--resume")
    else:
        shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "experiments.train", *flags]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _outcome(out: Path) -> object:
    state = restore_checkpoint(out / "checkpoints").state
    fields = [field.name for field in dataclasses.fields(TrainState)]
    return _bits(state, *fields), read_scalars(out / "scalars.jsonl")


def _bits(state: TrainState, *fields: str) -> list[bytes]:
    leaves = jax.tree.leaves([getattr(state, name) for name in fields])
    keys = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    pairs = zip(leaves, keys, strict=True)
    return [np.asarray(jax.random.key_data(x) if key else x).tobytes() for x, key in pairs]


def _small_run() -> tuple[Trainer, TrainState, RunInfo]:
    info = RunInfo(SMALL, SHAPE, {"source": "random", "train": 64, "test": 0})
    return info.trainer, info.trainer.init(), info


def _write_images(folder: Path, suffix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for stem, count in zip(MNIST, (512, 512, 64, 64), strict=True):
        shape, top = ((count, 8, 8), 256) if "images" in stem else ((count,), 4)
        write_idx(folder / f"{stem}{suffix}", rng.integers(0, top, shape, np.uint8))


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


def _refused(action: Callable[[], object], named: str, error: type[Exception]) -> None:
    try:
        action()
    except error as refusal:
        _require(named in str(refusal) and "\n" not in str(refusal), f"{named}: {refusal}")
    else:
        raise WrongOutcomeError(f"{named}: not refused")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WrongOutcomeError(otherwise)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        yield Path(folder)


def _resident_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(out: Path = Path("runs/chaos"), only: tuple[str, ...] = (), share: float = 1.0) -> None:
    """Tries the faults and prints what came of them.

    Args:
        out: folder of chaos.json.
        only: names of the faults to try, all if none is given.
        share: of the usual number of trials.
    """
    if unknown := sorted(set(only) - FAULTS.keys()):
        raise ValueError(f"only must name faults among {sorted(FAULTS)}, got {unknown}")
    if not share > 0:
        raise ValueError(f"share must be positive, got {share}")
    rows, table = [], Table("fault", "trials", "outcome")
    for name, (fault, usual) in FAULTS.items():
        if only and name not in only:
            continue
        trials, started = max(1, round(share * usual)), time.perf_counter()
        outcome = fault(trials)
        seconds = round(time.perf_counter() - started, 1)
        summary = " ".join((fault.__doc__ or "").split())
        about = {"fault": name, "what": summary, "trials": trials, "outcome": outcome}
        rows.append(about | {"seconds": seconds})
        table.add_row(name, str(trials), outcome)
        console.print(f"{name}: {trials} trials in {seconds} s: {outcome}")
    out.mkdir(parents=True, exist_ok=True)
    document = json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n"
    write_atomic(out / "chaos.json", document.encode())
    console.print(table)


if __name__ == "__main__":
    cli.run(main)
