"""Several seeds of one model: trained together, as one program, and one after another."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from experiments.bench.bench import Bench, Metrics, over_rounds
from experiments.bench.clock import WARM_UP, Seconds, alternate
from experiments.bench.groups.startup import python
from experiments.bench.groups.training import lineup, mlp_config, whole_batches
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.config import Config
from vae_topk_jax.group import TrainerGroup
from vae_topk_jax.sharding import make_mesh
from vae_topk_jax.training import Trainer

LAYOUT = Experiment(
    "bench_seeds",
    "Speed: several seeds",
    "An epoch of all of them; the first one compiles.",
    (
        Column("seconds_together", "together", 2, "neither", "s"),
        Column("seconds_in_turn", "one after another", 2, "neither", "s"),
        Column("together_over_in_turn", "time ratio", 2),
        Column("first_together", "first epoch together", 1, "neither", "s"),
        Column("first_in_turn", "first epoch one after another", 1, "neither", "s"),
        Column("first_over_in_turn", "first epoch, time ratio", 2),
        Column("over_one", "over one seed", 2, "lower"),
    ),
)
TOGETHER, IN_TURN = "together", "one after another"
_MANY = 64  # on an accelerator, which one small model leaves idle
_SHARED = 2  # devices that a process on a CPU is given


def run(bench: Bench) -> None:
    """Adds a row for each model and number of seeds, on one device and on several."""
    config = mlp_config(bench)
    images = whole_batches(bench.dataset.train_images, bench.sizes.growth_images, config.batch_size)
    counts, rounds = bench.sizes.seeds, bench.sizes.rounds
    for title, own in lineup(config).items():
        if jax.default_backend() != "cpu":
            race_many(bench, title, own, images, _MANY)
            continue
        for count in counts:
            _add(bench, title, own, count, len(images), 1, race(own, images, count, rounds))
        seconds = _on_devices(own, len(images), counts[-1], rounds)
        _add(bench, title, own, counts[-1], len(images), _SHARED, seconds)


def race_many(
    bench: Bench, title: str, config: Config, images_NxHxWxC: np.ndarray, count: int
) -> None:
    """Adds a row for an epoch of one seed, of so many together on one device, and on all."""
    config = config.replace(epochs=bench.sizes.rounds + WARM_UP)
    one = _title(1)
    contestants = {
        one: together(config, images_NxHxWxC, 1),
        _title(count): together(config, images_NxHxWxC, count),
    }
    if (devices := len(jax.devices())) > 1:
        many = together(config, images_NxHxWxC, count, make_mesh())
        contestants[_title(count, devices)] = many

    def describe(model: str, seconds: Mapping[str, Seconds]) -> Metrics:
        own = seconds[model]
        ratio = own.median / seconds[one].median
        return {"seconds_together": own.median, "first_together": own.first, "over_one": ratio}

    settings = config.to_dict() | {"images": len(images_NxHxWxC)}
    bench.race(LAYOUT.name, title, contestants, settings, describe, least_seconds=0.0)


def race(
    config: Config,
    images_NxHxWxC: np.ndarray,
    count: int,
    rounds: int,
    mesh: Mesh | None = None,
) -> dict[str, Seconds]:
    """Seconds of an epoch of so many seeds, in turns; together over the mesh where there is one."""
    config = config.replace(epochs=rounds + WARM_UP)
    contestants = {
        TOGETHER: together(config, images_NxHxWxC, count, mesh),
        IN_TURN: in_turn(config, images_NxHxWxC, count),
    }
    return alternate(contestants, rounds)


def together(
    config: Config, images_NxHxWxC: np.ndarray, count: int, mesh: Mesh | None = None
) -> Callable[[], Any]:
    """One more epoch of so many seeds at every call, as one program."""
    configs = [config.replace(seed=seed) for seed in range(count)]
    group = TrainerGroup(configs, images_NxHxWxC.shape[1:], len(images_NxHxWxC), mesh)
    return functools.partial(next, group.epochs(images_NxHxWxC))


def in_turn(config: Config, images_NxHxWxC: np.ndarray, count: int) -> Callable[[], list]:
    """One more epoch of each of so many seeds at every call, each with its own program."""

    def run_of(seed: int) -> Any:
        own = config.replace(seed=seed)
        trainer = Trainer(own, images_NxHxWxC.shape[1:], len(images_NxHxWxC))
        yield from trainer.epochs(trainer.init(), images_NxHxWxC)

    runs = [run_of(seed) for seed in range(count)]
    return lambda: [next(run) for run in runs]


def _on_devices(config: Config, images: int, count: int, rounds: int) -> dict[str, Seconds]:
    """`race` over several CPU devices that a process of its own has."""
    arguments = [config.to_json(), str(images), str(count), str(rounds)]
    flag = f"--xla_force_host_platform_device_count={_SHARED}"
    told = python(
        ["-m", "experiments.bench.processes.race_seeds", *arguments],
        {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flag},
    )
    return {
        name: Seconds(dict(enumerate(own["rounds"])), own["first"])
        for name, own in json.loads(told.splitlines()[-1]).items()
    }


def _add(
    bench: Bench,
    title: str,
    config: Config,
    count: int,
    images: int,
    devices: int,
    seconds: Mapping[str, Seconds],
) -> None:
    def describe(seconds: Mapping[str, Seconds]) -> Metrics:
        both, turns = seconds[TOGETHER], seconds[IN_TURN]
        return {
            "seconds_together": both.median,
            "seconds_in_turn": turns.median,
            "together_over_in_turn": both.median / turns.median,
            "first_together": both.first,
            "first_in_turn": turns.first,
            "first_over_in_turn": both.first / turns.first,
        }

    metrics = over_rounds(describe, seconds, range(bench.sizes.rounds))
    settings = config.to_dict() | {"images": images, "seeds": count, "devices": devices}
    total = sum(own.total for own in seconds.values())
    bench.add(LAYOUT.name, title, _title(count, devices), settings, metrics, total)


def _title(count: int, devices: int = 1) -> str:
    seeds = f"{count} seed{'s' if count > 1 else ''}"
    return seeds + (f", {devices} devices" if devices > 1 else "")
