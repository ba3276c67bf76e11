"""Several seeds of one model: trained together by `vmap`, and one after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.bench import Bench
from experiments.bench.clock import alternate
from experiments.bench.groups.training import lineup, mlp_config, whole_batches
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.config import Config
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import Trainer

LAYOUT = Experiment(
    "bench_seeds",
    "Speed: several seeds",
    "An epoch of all of them.",
    (
        Column("seconds_together", "together", 2, "neither", "s"),
        Column("seconds_in_turn", "one after another", 2, "neither", "s"),
        Column("together_over_in_turn", "time ratio", 2),
    ),
)
_MANY = 64  # on an accelerator, which one small model leaves idle


def run(bench: Bench) -> None:
    """Adds a row for each model and number of seeds."""
    config = mlp_config(bench)
    images = whole_batches(bench.dataset.train_images, bench.sizes.growth_images, config.batch_size)
    counts = bench.sizes.seeds
    if jax.default_backend() != "cpu":
        counts = (*counts, _MANY)
    for title, own in lineup(config).items():
        runs: dict[tuple[int, Callable[..., Any]], Callable[[], object]] = {
            (count, way): way(own, images, count) for count in counts for way in (together, in_turn)
        }
        seconds = alternate(runs, bench.sizes.rounds)
        for count in counts:
            both, turns = seconds[count, together], seconds[count, in_turn]
            metrics = {
                "seconds_together": both.median,
                "seconds_in_turn": turns.median,
                "together_over_in_turn": both.median / turns.median,
            }
            settings = own.to_dict() | {"images": len(images), "seeds": count}
            model = f"{count} seed{'s' if count > 1 else ''}"
            bench.add(LAYOUT.name, title, model, settings, metrics, both.total + turns.total)


def together(config: Config, images_NxHxWxC: np.ndarray, count: int) -> Callable[[], object]:
    """One more epoch of so many seeds at every call, as one program."""
    trainer, states = _start(config, images_NxHxWxC, count)
    images = jax.device_put(images_NxHxWxC)
    state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

    @jax.jit
    def train(state: TrainState) -> TrainState:
        return jax.vmap(lambda one: trainer.segment(one, images, trainer.steps_per_epoch)[0])(state)

    def epoch() -> TrainState:
        nonlocal state
        state = train(state)
        return state

    return epoch


def in_turn(config: Config, images_NxHxWxC: np.ndarray, count: int) -> Callable[[], object]:
    """One more epoch of each of so many seeds at every call."""
    trainer, states = _start(config, images_NxHxWxC, count)
    images = jax.device_put(images_NxHxWxC)

    def epoch() -> list[TrainState]:
        for number, state in enumerate(states):
            states[number] = trainer.segment(state, images, trainer.steps_per_epoch)[0]
        return states

    return epoch


def _start(
    config: Config, images_NxHxWxC: np.ndarray, count: int
) -> tuple[Trainer, list[TrainState]]:
    """The trainer and the first state of every seed."""
    shape, size = images_NxHxWxC.shape[1:], len(images_NxHxWxC)
    trainers = [Trainer(config.replace(seed=seed), shape, size) for seed in range(count)]
    return trainers[0], [trainer.init() for trainer in trainers]
