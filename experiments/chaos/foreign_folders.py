"""Folders as strangers may have made them, by hypothesis (extra "test"): runs, checkpoints and
model files with odd files, odd bytes and odd JSON, most of them under a manifest that fits."""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.bench.free_memory import peak_mebibytes
from experiments.chaos.random_configurations import tried
from experiments.chaos.small_run import require, small_model, temporary_folder
from experiments.records.measured_run import read_measured_run
from experiments.records.rows import RESULTS_NAME, Row, write_results
from vae_topk_jax import export_model, load, load_exported, load_weights, manifest
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.checkpoint_folder import CHECKPOINTS
from vae_topk_jax.runs.importance_log import IMPORTANCE, ImportanceLog, read_importance
from vae_topk_jax.runs.run_folder import NAMES, read_names, write_names
from vae_topk_jax.runs.scalars import SCALARS, JsonLines

Change = Callable[[Path], object]
_SECONDS = 60  # that one folder may take
_LARGE = 1 << 24  # bytes
_MEBIBYTES = 1024  # that all of them may take
# what is read, and how; programs seldom, for each is parsed in a process of its own
_READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "checkpoint": ("checkpoint", load),
    "checkpoint, not verified": ("checkpoint", functools.partial(load, verify=False)),
    "weights": ("model", load_weights),
    "run": ("run", lambda path: (read_measured_run(path), read_importance(path), read_names(path))),
    "programs": ("model", load_exported),
}
_CHOSEN = [*list(_READERS)[:4] * 4, "programs"]
_DESCRIPTIONS = ("about.json", "config.json", RESULTS_NAME, NAMES, SCALARS, IMPORTANCE)
_NUMBERS = st.integers() | st.floats() | st.sampled_from([-1, 0, 2**31, 2**40, 10**400, 1e308])
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=5) | st.just("F8_E4M3"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
_FRACTIONS = st.floats(0, 1, exclude_max=True)


def try_folders(trials: int) -> None:
    """Tries them in this process and prints what came of them."""
    with temporary_folder() as folder:
        bases = _make(folder / "bases")
        outcome = functools.partial(_outcome, bases, folder / "tried")
        outcomes = tried(_examples(), outcome, trials)
        mebibytes = peak_mebibytes()["peak_mib"]
    require(mebibytes < _MEBIBYTES, f"{mebibytes:.0f} MiB were taken")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{counts}; at most {mebibytes:.0f} MiB")


def try_folders_apart(trials: int) -> str:
    """Tries them in a process of its own, which none of them may crash or hold up."""
    call = f"from experiments.chaos.foreign_folders import try_folders; try_folders({trials})"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True)
    require(done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.strip()


def _make(folder: Path) -> dict[str, Path]:
    """A run, a checkpoint and a folder of model files, as they should be."""
    model = small_model()
    info, run = model.info, folder / "run"
    checkpoint = save_checkpoint(run / CHECKPOINTS, model.state, info)
    JsonLines(run).write(1, {"loss": 0.5})
    ImportanceLog(run, 1).write(1, np.ones((1, info.config.latent_dim)))
    write_names(run, {"data": "embedded"})
    row = Row(
        experiment="train",
        variant="",
        model=info.config.model,
        config=info.config.to_dict(),
        seed=0,
        data=info.data,
        metrics={"psnr": 20.0},
        seconds=1.0,
    )
    write_results(run, [row])
    exported = export_model(model, folder / "model")
    return {"checkpoint": checkpoint, "model": exported, "run": run}


# What a change raises that an earlier one made impossible.
_IMPOSSIBLE = (OSError, ValueError, RecursionError)


def _outcome(bases: dict[str, Path], place: Path, example: tuple[str, list[Change], bool]) -> str:
    reader, changes, is_fitted = example
    base, read = _READERS[reader]
    shutil.copytree(bases[base], place)
    try:
        for change in changes:
            with contextlib.suppress(*_IMPOSSIBLE):
                change(place)
        if is_fitted:
            with contextlib.suppress(ValueError):  # of no regular file
                manifest.write_manifest(place)
        signal.alarm(_SECONDS)
        try:
            read(place)
        except ValueError as error:
            require(str(place) in str(error), f"{reader}: no file is named: {error}")
            require("\n" not in str(error), f"{reader}: several lines: {error}")
            return f"{reader} refused"
        finally:
            signal.alarm(0)
        return f"{reader} read"
    finally:
        shutil.rmtree(place)


def _examples() -> st.SearchStrategy[tuple[str, list[Change], bool]]:
    changes = st.one_of(_odd_files(), _odd_bytes(), _odd_json(), _odd_json(), _odd_header())
    fitted = st.sampled_from([True, True, True, False])
    return st.tuples(st.sampled_from(_CHOSEN), st.lists(changes, min_size=1, max_size=3), fitted)


def _files(folder: Path, names: Collection[str] = ()) -> list[Path]:
    """The regular files in a folder that are small enough to be read, or those of these names."""
    found = (path for path in folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode))
    small = (path for path in found if path.stat().st_size < _LARGE)
    return sorted(path for path in small if not names or path.name in names)


def _odd_files() -> st.SearchStrategy[Change]:
    """A file that is something else, in the place of one or beside them."""
    kinds: list[Change] = [
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/"),
        lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(b"odd"),
        lambda path: (path / "/".join("a" * 40)).mkdir(parents=True),
        os.mkfifo,
        _bind,
        _punch,
    ]
    names = [b"odd", b"\xff\xfe", b"a\nb", b"\x1b[31m", b".git/odd", b"README.md", b"state/odd"]

    def put(kind: Change, name: bytes, instead: float | None, folder: Path) -> None:
        path = folder / os.fsdecode(name)
        if instead is not None:
            path = _pick(_files(folder), instead)
            path.unlink()
        path.parent.mkdir(exist_ok=True)
        kind(path)

    chosen = st.sampled_from(kinds), st.sampled_from(names), st.none() | _FRACTIONS
    return st.tuples(*chosen).map(lambda given: functools.partial(put, *given))


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(path.parent):
        server.bind(path.name)  # the name of a socket may have 107 bytes


def _punch(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(1 << 40)


def _odd_bytes() -> st.SearchStrategy[Change]:
    """A file that is cut, longer, other or has a byte changed."""

    def flip(content: bytes, where: int, byte: bytes) -> bytes:
        return content[:where] + byte + content[where + 1 :]

    kinds: list[Callable[[bytes, int, bytes], bytes]] = [
        flip,
        flip,
        lambda content, where, more: content[:where],
        lambda content, where, more: content + more,
        lambda content, where, more: more,
        lambda content, where, more: b"[" * 100_000,
        lambda content, where, more: b'{"a":' * 100_000,
    ]

    def put(kind: Callable, file: float, where: float, more: bytes, folder: Path) -> None:
        path = _pick(_files(folder), file)
        content = path.read_bytes()
        path.write_bytes(kind(content, int(where * len(content)), more))

    chosen = st.sampled_from(kinds), _FRACTIONS, _FRACTIONS, st.binary(min_size=1, max_size=9)
    return st.tuples(*chosen).map(lambda given: functools.partial(put, *given))


def _odd_json() -> st.SearchStrategy[Change]:
    """Another value somewhere in what describes a run, a checkpoint or a model."""

    def put(file: float, path: list[float], value: Any, folder: Path) -> None:
        chosen = _pick(_files(folder, _DESCRIPTIONS), file)
        text = chosen.read_text()
        documents = text.splitlines() if chosen.suffix == ".jsonl" else [text]
        changed = [_with_entry(json.loads(document), path, value) for document in documents]
        chosen.write_text("".join(json.dumps(document) + "\n" for document in changed))

    return st.tuples(_FRACTIONS, _entries()).map(
        lambda given: functools.partial(put, given[0], *given[1])
    )


def _odd_header() -> st.SearchStrategy[Change]:
    """The same in the header of the weights."""

    def put(path: list[float], value: Any, folder: Path) -> None:
        (file,) = _files(folder, ("model.safetensors",))
        content = file.read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = _with_entry(json.loads(content[8 : 8 + size]), path, value)
        text = json.dumps(header).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])

    return _entries().map(lambda given: functools.partial(put, *given))


def _entries() -> st.SearchStrategy[tuple[list[float], Any]]:
    return st.tuples(st.lists(_FRACTIONS, max_size=4), _VALUES)


def _with_entry(tree: Any, path: list[float], value: Any) -> Any:
    """The tree with another value in one place; each step of the path says which of the items."""
    if not path or not tree or not isinstance(tree, dict | list):
        return value
    key = _pick(sorted(tree) if isinstance(tree, dict) else range(len(tree)), path[0])
    changed = tree.copy()
    changed[key] = _with_entry(tree[key], path[1:], value)
    return changed


def _pick(items: Sequence[Any], where: float) -> Any:
    """The item that lies at a fraction of a sequence."""
    if not items:
        raise ValueError("nothing is left to be changed")
    return items[int(where * len(items))]
