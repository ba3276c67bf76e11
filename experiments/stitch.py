"""Is a small dictionary complete, and are the entries of a large one atoms?

    python -m experiments.stitch --preset quick
    python -m experiments.stitch --preset quick --inputs probe --k 8

A small and a large BatchTopK SAE are trained on the same inputs and stitched together latent by
latent; a meta-SAE is trained on the directions of the large one. Both lines take six minutes
together on two CPU cores. Expect of pixels an explained variance of 0.78 and 0.79, 801 of the 1,024
latents novel, and 0.35 explained of the directions; of the classifier's layer 0.90, 298 and 0.70.
"""

import dataclasses
import functools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.measures.dictionaries import sae_metrics, side_of, train_on
from experiments.records.rows import Place
from experiments.reporting.columns import EXPLAINED_VARIANCE, SPARSITY
from experiments.reporting.compose import write_report
from experiments.reporting.figures.stitching import draw_stitching
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study
from experiments.terminal import cli
from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics.stitching import (
    cosines,
    insertion_effects,
    path_errors,
    stitching_path,
    sweep,
)
from vae_topk_jax.models.meta_sae import decoder_directions
from vae_topk_jax.runs.inputs import PIXELS, Inputs, load_inputs

SAE = {"learning_rate": 1e-3}
THRESHOLD = 0.7  # the paper's
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, THRESHOLD, 0.8, 0.9)
BATCHES_TO_DEATH = 100
_STITCHED_ON = 2000  # test inputs
LAYOUT = Experiment(
    "stitch",
    "Dictionaries: stitching and the meta-SAE",
    "BatchTopK SAEs of two sizes on the same inputs, the small one turned into the large one "
    "latent by latent; and one of the directions of the large one, which measures how far they are "
    "sums of a few others. Only latents that are active in a test input are stitched.",
    (
        EXPLAINED_VARIANCE,
        Column("error", "error", 5, "lower"),
        *SPARSITY,
    ),
    further={
        "stitched": (
            Column("novel", "novel latents", 0),
            Column("swaps", "groups swapped", 0),
            Column("error_small", "error of the small one", 5),
            Column("error_novel", "with the novel ones", 5),
            Column("error_large", "error of the large one", 5),
            Column("helping", "novel that help", 3),
            Column("harming", "others that harm", 3),
            Column("best_threshold", "best threshold", 1),
            Column("best_error", "error there", 5),
        )
    },
    figures=(draw_stitching,),
)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many latents each dictionary has."""

    small: int = 256
    """Latents of the small SAE."""
    large: int = 1024
    """Latents of the large SAE."""
    k: int = 16
    """Active latents of an input, in both."""
    meta: int = 64
    """Meta-latents of the large one's directions, four per direction."""
    meta_steps: int = 10_000
    """Training steps of the meta-SAE, at a constant rate."""


def rows(study: Study, inputs: Inputs, sizes: Sizes) -> Iterator[Planned]:
    """The two SAEs, their stitching, and the meta-SAE of the large one."""
    variant = inputs.about.get("inputs", PIXELS)
    settings = dataclasses.asdict(sizes) | {"inputs": variant}
    for seed in study.budget.seeds:
        trained = functools.cache(functools.partial(_train_sae, study, inputs, sizes.k, seed))
        at = functools.partial(Place, LAYOUT.name, variant, seed=seed)
        for latents in (sizes.small, sizes.large):
            config = _config(study, latents, sizes.k, seed)
            yield study.plan(
                at(model=f"SAE, {latents} latents"),
                config.to_dict() | settings,
                functools.partial(_measure_sae, inputs, trained, latents),
                cost=1.0,
            )
        yield study.plan(
            at(model=f"{sizes.small} stitched to {sizes.large}"),
            config.to_dict() | settings | {"threshold": THRESHOLD},
            functools.partial(_measure_stitching, inputs, trained, sizes),
        )
        yield study.plan(
            at(model=f"meta-SAE, {sizes.meta} meta-latents"),
            config.to_dict() | settings,
            functools.partial(_measure_meta, study, trained, sizes, seed),
            cost=1.0,
        )


def meta_config(latent_dim: int, batch_size: int = 128, **fields: Any) -> Config:
    """The configuration of a meta-SAE: four meta-latents per direction, and the paper's settings.

    Args:
        latent_dim: how many meta-latents, fewer than there are directions.
        batch_size: directions per step.
        fields: others than the paper's.

    Examples:
        >>> meta_config(64, batch_size=32).dead_after
        3200
    """
    settings: dict[str, Any] = {
        "model": "batch_topk_sae",
        "k": 4,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "aux_weight": 1 / 16,
        "dead_after": BATCHES_TO_DEATH * batch_size,
        "pixel_reduction": "sum",
    }
    return Config(**settings | {"latent_dim": latent_dim, "batch_size": batch_size} | fields)


def _config(study: Study, latents: int, k: int, seed: int) -> Config:
    return study.config(SAE, model="batch_topk_sae", latent_dim=latents, k=k, seed=seed)


def _train_sae(study: Study, inputs: Inputs, k: int, seed: int, latents: int) -> Inference:
    return train_on(inputs, _config(study, latents, k, seed), study.bar)


def _measure_sae(inputs: Inputs, trained: Any, latents: int) -> Measurement:
    started = time.perf_counter()
    model = trained(latents)
    seconds = time.perf_counter() - started
    metrics = sae_metrics(model, inputs.float_test)
    return Measurement(metrics | {"seconds_training": round(seconds, 2)})


def _measure_stitching(inputs: Inputs, trained: Any, sizes: Sizes) -> Measurement:
    x = inputs.float_test[:_STITCHED_ON]
    x_NxF = x.reshape(len(x), -1)
    small, large = (side_of(trained(latents), x) for latents in (sizes.small, sizes.large))
    cosine_SxL = cosines(small.directions_DxF, large.directions_DxF)
    path = stitching_path(cosine_SxL, THRESHOLD)
    errors = path_errors(x_NxF, small, large, path)
    verdicts = sweep(x_NxF, small, large, THRESHOLDS)
    verdict = verdicts[THRESHOLDS.index(THRESHOLD)]
    best = min(verdicts, key=lambda verdict: verdict.error)
    history = {
        "threshold": THRESHOLD,
        "path_error": _rounded(errors),
        "path_kind": [step.kind for step in path],
        "cosine": _rounded(cosine_SxL.max(axis=0)),
        "effect": _rounded(insertion_effects(x_NxF, small, large)),
        "sweep": [verdict._asdict() for verdict in verdicts],
    }
    metrics = {
        "novel": verdict.novel,
        "swaps": verdict.swaps,
        "error_small": float(errors[0]),
        "error_novel": verdict.error,
        "error_large": float(errors[-1]),
        "helping": verdict.helping,
        "harming": verdict.harming,
        "best_threshold": best.threshold,
        "best_error": best.error,
    }
    return Measurement(metrics, None, history)


def _measure_meta(study: Study, trained: Any, sizes: Sizes, seed: int) -> Measurement:
    large = trained(sizes.large)
    directions = decoder_directions(large.state.params, large.active_dims)
    config = meta_config(sizes.meta, batch_size=min(128, len(directions)), seed=seed)
    steps_per_epoch = len(directions) // config.batch_size
    config = config.replace(epochs=max(1, sizes.meta_steps // steps_per_epoch))
    about = {"source": "decoder directions", "train": len(directions), "test": len(directions)}
    model = train_on(Inputs(directions, directions, about, ""), config, study.bar)
    return Measurement(sae_metrics(model, directions) | {"directions": len(directions)})


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def main(
    options: StudyFlags,
    inputs: str = PIXELS,
    sizes: Sizes = Sizes(),
) -> None:
    """Stitching and the meta-SAE, and their report.

    Args:
        options: preset, data and output.
        inputs: what to train on: "pixels", "probe" (the digit classifier's penultimate layer), or
            a folder of checkpoints of a VAE (its encoder's last hidden layer).
        sizes: of the dictionaries.
    """
    study = options.study()
    inputs_of_study = load_inputs(inputs, study.dataset, lambda _: study.probe)
    study.measure(rows(study, inputs_of_study, sizes))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
