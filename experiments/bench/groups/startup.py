"""How long a start takes: the import, and the first step with and without cached programs."""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.bench.bench import Bench
from experiments.bench.clock import Seconds
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column

LAYOUT = Experiment(
    "bench_startup",
    "Speed: starting",
    "Processes of their own, from their start to their end.",
    (Column("seconds", "median", 2, "lower", "s"),),
)
_ROOT = Path(__file__).parents[3]
_STEP = ("-m", "experiments.bench.processes.first_step")


def run(bench: Bench) -> None:
    """Adds a row for each start, of a process of its own, its interpreter's start included."""
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache:
        cached = {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        step = (*_STEP, str(bench.sizes.images))
        contestants = {
            "python alone": functools.partial(python, ["-c", "pass"]),
            "import jax": functools.partial(python, ["-c", "import jax"]),
            "import vae_topk_jax": functools.partial(python, ["-c", "import vae_topk_jax"]),
            "first step, nothing cached": functools.partial(python, step),
            "first step, programs cached": functools.partial(python, step, cached),
        }

        def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
            return {"seconds": seconds[model].median}

        settings = {"images": bench.sizes.images}
        bench.race(LAYOUT.name, "", contestants, settings, describe, least_seconds=0.0, warm_up=1)


def python(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a Python process of its own prints.

    Args:
        arguments: of the interpreter.
        environment: variables beside those of this process; a compilation cache that those name is
            not passed on.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    inherited = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=_ROOT,
        env=inherited | dict(environment or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout
