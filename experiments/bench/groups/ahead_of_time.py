"""The programs compiled for TPUs and GPUs that need not be there: what they would hold, move and
exchange. Nothing runs and nothing is timed.

    JAX_PLATFORMS=cpu python -m experiments.bench --only ahead_of_time

Needs the extra `aot`; what has no compiler here is left out with a note.
"""

import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.bench.bench import Bench
from experiments.bench.compiled.chips import CHIPS, ChipName
from experiments.bench.sizes import Sizes
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.extras import install_advice

LAYOUT = Experiment(
    "ahead_of_time",
    "Compiled, not run",
    "Counted in programs compiled for devices that are not here, of one device. Nothing of it is a "
    "measurement. The bound is what bytes over published bandwidth, or products over published "
    "peak, take at least.",
    (
        Column("memory_mb", "device memory", 1, "lower", "MB"),
        Column("temporaries_mb", "of it temporaries", 1, "lower", "MB"),
        Column("read_mb", "read", 1, "lower", "MB"),
        Column("written_mb", "written", 1, "lower", "MB"),
        Column("in_branches_mb", "moved in branches", 3, "lower", "MB"),
        Column("gflop", "products", 3, "neither", "GFLOP"),
        Column("bound_ms", "bound", 4, "neither", "ms"),
        Column("sorts", "sorts", 0, "lower"),
        Column("largest_sort", "entries of the largest sort", 0, "lower"),
        Column("all_reduces", "all-reduces", 0, "lower"),
        Column("all_reduce_bytes", "bytes reduced", 0, "lower"),
        Column("all_gathers", "all-gathers", 0, "lower"),
        Column("all_gather_bytes", "bytes gathered", 0, "lower"),
    ),
)
TARGETS: tuple[tuple[ChipName, int], ...] = (
    *(("v5e", 1), ("v5e", 4)),
    ("v6e", 1),
    *(("h100", 1), ("h100", 4)),
)
_ROOT = Path(__file__).parents[3]
# Compilers for TPUs look for the machine's own, and tell at length that there are none.
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}


def run(bench: Bench) -> None:
    """Adds a row for each program and each kind and number of devices."""
    for name, count in TARGETS:
        run_target(bench, name, count)


def run_target(bench: Bench, name: ChipName, count: int) -> None:
    """Adds a row for each program that is compiled for so many devices of that kind."""
    chip = CHIPS[name]
    variant = chip.title if count == 1 else f"{count} {chip.title}"
    if not chip.is_installed:
        advice = install_advice("aot")
        bench.note(f"{variant}: its compiler, {chip.compiler}, is not installed: {advice}")
        return
    settings = {
        "chip": name,
        "devices": count,
        "compiler": importlib.metadata.version(chip.compiler),
        "sizes": dataclasses.asdict(bench.sizes),
    }
    for told in compile_ahead(name, count, bench.sizes):
        if "error" in told:
            bench.note(f"{variant}: {told['title']}: {told['error']}")
            continue
        bench.add(LAYOUT.name, variant, told["title"], settings, told["metrics"], told["seconds"])


def compile_ahead(
    name: ChipName, count: int, sizes: Sizes, titles: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """What a process of its own tells of each program, as it tells it.

    Args:
        name, count: the devices.
        sizes: of the programs.
        titles: which ones; all if none is named.

    Yields:
        The "title" with "metrics" and "seconds", or with the "error" for which the compiler refuses
        it.

    Raises:
        RuntimeError: the process failed.
    """
    module = "experiments.bench.processes.compile_ahead"
    told = json.dumps(dataclasses.asdict(sizes))
    command = [sys.executable, "-m", module, name, str(count), told, *titles]
    # Programs are compiled as they are without settings of JAX and XLA in this shell.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            cwd=_ROOT,
            env=inherited | _ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
        if process.wait():
            errors.seek(0)
            reason = errors.read().strip().rpartition("\n")[2]
            raise RuntimeError(
                f"compiling for {count} {name} failed: {reason} (one process at a time may use "
                "libtpu: set JAX_PLATFORMS=cpu for this one)"
            )
