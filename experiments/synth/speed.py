"""Times the training of a BatchTopK dictionary here and in other libraries, in turns.

    python -m experiments.synth.speed

On the vectors of the preset. "drawn": each library makes its batches with its own generator while
it trains; "in memory": the batches are there already, which dictionary_learning, having no
generator, needs. Peers need the extra `bench`. Takes two minutes on two CPU cores.
"""

import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from experiments.bench.clock import alternate
from experiments.records.rows import ResultsFile, Row
from experiments.reporting.compose import write_report
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.synth import ours, peers
from experiments.synth.presets import PRESETS, Preset
from experiments.terminal import cli
from vae_topk_jax.runs.progress import console
from vae_topk_jax.synthetic import GroundTruth, make_ground_truth
from vae_topk_jax.training import Trainer

STEPS = 20  # of a turn
LAYOUT = Experiment(
    "synth_speed",
    "Known features: how fast is a dictionary trained?",
    "BatchTopK dictionaries, timed in turns; samples per second of the median turn.",
    (Column("samples_per_second", "samples/s", 0, "higher"), Column("ms", "a step", 2, "lower")),
)
Step = Callable[[], object]


def main(
    preset: Literal["tiny", "small", "16k"] = "small", out: Path | None = None, rounds: int = 9
) -> None:
    """Times the trainings, and writes the report.

    Args:
        preset: of `experiments.synth`.
        out: folder of results.json and the report; runs/synth-speed if not given.
        rounds: turns of each library, of 20 steps.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    sizes, folder = PRESETS[preset], out or Path("runs/synth-speed")
    truth = make_ground_truth(jax.random.key(0), sizes.setting)
    results = ResultsFile(folder)
    for (variant, model), seconds in alternate(contestants(sizes, truth), rounds).items():
        per_step = seconds.median / STEPS
        metrics = {"samples_per_second": sizes.batch_size / per_step, "ms": 1000 * per_step}
        results.replace(
            Row(
                experiment=LAYOUT.name,
                variant=variant,
                model=model,
                config=ours.truth_settings(sizes) | {"rounds": rounds},
                seed=None,
                data={"source": "synthetic", "train": sizes.samples, "test": 0},
                metrics=metrics,
                seconds=round(seconds.total, 2),
            )
        )
        console.print(f"{variant} | {model} | {metrics['samples_per_second']:,.0f} samples/s")
    write_report(folder, [LAYOUT])


def contestants(preset: Preset, truth: GroundTruth) -> dict[tuple[str, str], Step]:
    """(variant, library) -> a turn of its training."""
    key = jax.random.key(0)
    held = np.concatenate(
        [np.asarray(truth.batch(key, step, preset.batch_size)) for step in range(STEPS)]
    )
    found: dict[tuple[str, str], Step] = {
        ("drawn", "ours"): _ours(preset, truth, truth),
        ("in memory", "ours"): _ours(preset, truth, held),
    }
    if importlib.util.find_spec("sae_lens"):
        found["drawn", "sae_lens"] = _saelens(preset, _drawn_by_saelens(preset, truth))
        found["in memory", "sae_lens"] = _saelens(preset, itertools.cycle(_batches(preset, held)))
    if importlib.util.find_spec("dictionary_learning"):
        trainer = peers.dictionary_learning_trainer(preset, 0)
        batches = _batches(preset, held)

        def turn() -> None:
            for x in batches:
                trainer.update(1, x)  # at step 0 it looks for the median

        found["in memory", "dictionary_learning"] = turn
    return found


def _ours(preset: Preset, truth: GroundTruth, data: GroundTruth | np.ndarray) -> Step:
    config = ours.config_of("BatchTopK SAE", preset, 0)
    trainer = Trainer(config, truth.image_shape, STEPS * preset.batch_size)
    images: Any = jax.device_put(data)
    state = trainer.init(data)

    def turn() -> object:
        nonlocal state
        state, _ = trainer.segment(state, images, STEPS)
        return state.params

    return turn


def _batches(preset: Preset, held: np.ndarray) -> list[Any]:
    import torch

    vectors = held.reshape(STEPS, preset.batch_size, -1)
    return [torch.from_numpy(np.array(x_BxF)) for x_BxF in vectors]


def _saelens(preset: Preset, batches: Any) -> Step:
    trainer, _ = peers.saelens_trainer(False, preset, 0, batches)

    def turn() -> None:
        for _ in range(STEPS):
            trainer.step(next(batches))

    return turn


def _drawn_by_saelens(preset: Preset, truth: GroundTruth) -> Any:
    """Its own generator, with the numbers of ours and its own trees."""
    import torch

    generator = peers.saelens_generator(truth, peers.saelens_trees(preset.setting))
    directions, bias = (
        torch.from_numpy(np.array(array)) for array in (truth.directions_GxF, truth.bias_F)
    )
    while True:
        yield generator.sample(preset.batch_size) @ directions + bias


if __name__ == "__main__":
    cli.run(main)
