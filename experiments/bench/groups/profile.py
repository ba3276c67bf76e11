"""Where the time of a training step goes, operation by operation."""

import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.bench.bench import Bench
from experiments.bench.groups.training import lineup, mlp_config, whole_batches
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.config import Config
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import Trainer

LAYOUT = Experiment(
    "bench_profile",
    "Speed: where the time of a step goes",
    "Milliseconds of all operations per step; those that run side by side count in full.",
    (Column("ms_step", "per step", 3, "neither", "ms"), Column("share", "share", 3)),
)
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%(?P<name>[\w.-]+) = .*? (?P<kind>[\w-]+)\(.*$", re.M)
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_CONTAINERS = ("while", "conditional", "call")  # what is inside them is timed for itself
_REST = "optimiser, guard and the rest"
# The first whose pattern is found in the operation's kind and name.
_PARTS = {
    "decoder's sensitivity": r"sensitivity",
    "matrix products": r"^dot |dot_general",
    "selection": r"batch_top_k",
    "random numbers": r"random|threefry|shuffle|erf_inv",
    "activations and losses": r"VAE",
    "images of the batch": r"gather",
    "copies": r"^copy ",
}


class Operation(NamedTuple):
    """An operation of a compiled program: its kind, and the path of the code that it is from."""

    kind: str
    path: str

    @property
    def part(self) -> str:
        """Which part of the step it belongs to.

        Examples:
            >>> Operation("dot", "jit(segment)/transpose(jvp(TopKVAE.loss))/dot_general").part
            'matrix products'
            >>> Operation("fusion", "jit(segment)/while/body/mul").part
            'optimiser, guard and the rest'
        """
        text = f"{self.kind} {self.path}"
        return next((part for part, found in _PARTS.items() if re.search(found, text)), _REST)


def run(bench: Bench) -> None:
    """Adds a row for each part of each model's step."""
    config = mlp_config(bench)
    images = whole_batches(bench.dataset.train_images, bench.sizes.growth_images, config.batch_size)
    for title, own in lineup(config).items():
        milliseconds = profile(own, images, bench.sizes.rounds)
        total = sum(milliseconds.values())
        for part in sorted(milliseconds, key=lambda part: -milliseconds[part]):
            metrics = {"ms_step": milliseconds[part], "share": milliseconds[part] / total}
            settings = own.to_dict() | {"images": len(images)}
            bench.add(LAYOUT.name, title, part, settings, metrics, milliseconds[part] / 1e3)
        if not milliseconds:
            bench.note(f"profile of {title}: the profiler names no operations on this device")


def profile(config: Config, images_NxHxWxC: np.ndarray, rounds: int) -> dict[str, float]:
    """Part -> milliseconds per step; operations that run side by side count in full.

    Of the times that an operation took in so many epochs, the median stands for all, so that what
    interrupts the process does not count.
    """
    trainer = Trainer(config, images_NxHxWxC.shape[1:], len(images_NxHxWxC))
    state, images = trainer.init(), jax.device_put(images_NxHxWxC)
    epoch = trainer.segment.lower(state, images, trainer.steps_per_epoch).compile()  # type: ignore[attr-defined]
    operations = parse_operations(epoch.as_text())
    state, _ = jax.block_until_ready(epoch(state, images))

    def train() -> TrainState:
        after = state
        for _ in range(rounds):
            after, _ = epoch(after, images)
        return after

    nanoseconds = defaultdict(list)
    for name, duration in _trace(train):
        if name in operations:
            nanoseconds[name].append(duration)
    parts: dict[str, float] = defaultdict(float)
    for name, durations in nanoseconds.items():
        once = float(np.median(durations)) / 1e6
        parts[operations[name].part] += once * len(durations) / (rounds * trainer.steps_per_epoch)
    return dict(parts)


def parse_operations(program: str) -> Mapping[str, Operation]:
    """Name -> operation, of an optimised program as text.

    Examples:
        >>> line = '  %dot.7 = f32[2,2]{1,0} dot(%a, %b), metadata={op_name="jit(f)/dot_general"}'
        >>> parse_operations(line)
        {'dot.7': Operation(kind='dot', path='jit(f)/dot_general')}
    """
    found = {}
    for instruction in _INSTRUCTION.finditer(program):
        if instruction["kind"] not in _CONTAINERS:
            path = _OP_NAME.search(instruction[0])
            found[instruction["name"]] = Operation(instruction["kind"], path[1] if path else "")
    return found


def _trace(function: Callable[[], object]) -> Iterator[tuple[str, float]]:
    """The name and the nanoseconds of everything that happens in a call."""
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(function())
        (path,) = Path(folder).rglob("*.xplane.pb")
        events = jax.profiler.ProfileData.from_file(str(path))
        for plane in events.planes:
            for line in plane.lines:
                for event in line.events:
                    yield event.name, event.duration_ns
