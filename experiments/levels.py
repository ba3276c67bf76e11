"""Levels of latents: the ladder beside a flat model with as many active latents.

    python -m experiments.levels --preset quick --epochs 10 --seeds 0 1 2

Both have the same body and select by element, 12 of 64 latents. Takes two minutes a row on one CPU
core; expect 21.2 dB of both, and of the ladder half the flat model's FID of samples from the prior.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.measures.generation import measure_model, settings
from experiments.reporting.columns import GENERATION, QUALITY, SAMPLERS
from experiments.reporting.compose import write_report
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import ELEMENT, LATENT_DIM
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli
from vae_topk_jax.models import LadderVAE

K = 12
VARIANT = "test images"
LADDER = "ladder, 4 of 16 and 8 of 48"
MODELS: dict[str, dict[str, Any]] = {
    ELEMENT: {"model": "top_k_vae", "latent_dim": LATENT_DIM, "k": K},
    LADDER: {
        "model": "ladder_vae",
        "latent_dim": LATENT_DIM,
        "levels": (16, 48),
        "level_k": (4, 8),
    },
}
LAYOUT = Experiment(
    "levels",
    "Levels of latents",
    "The ladder VAE beside a flat Top-K VAE, both by element, with as many active latents. KL: of "
    "all latents, before the mask.",
    (
        QUALITY[0],
        QUALITY[2],
        *GENERATION[: len(SAMPLERS)],
        Column("kl", "KL", 1, unit="nats"),
        Column("active_latents", "active latents", 2),
        Column("active_latents_top", "of the top level", 2),
        Column("active_dims", "dims in use", 0),
        Column("supports", "supports", 0),
    ),
)


def rows(study: Study, only: str = "") -> Iterator[Planned]:
    """The rows whose titles contain `only`."""
    for seed, (title, fields) in itertools.product(study.budget.seeds, MODELS.items()):
        if only in title:
            config = study.config(seed=seed, **fields)
            measure = functools.partial(_measure, study)
            yield study.plan_trained(
                LAYOUT.name, VARIANT, title, config, measure, **settings(study)
            )


def _measure(study: Study, trained: Trained) -> Measurement:
    model = trained.inference
    metrics, pictures = measure_model(study, model, trained.seed)
    active = np.asarray(model.encode(study.test_images)) != 0
    metrics["kl"] = trained.history["kl"][-1] * LATENT_DIM
    metrics["supports"] = len(np.unique(active, axis=0))
    if isinstance(model.model, LadderVAE):
        top = model.model.by_level(active)[0]
        metrics["active_latents_top"] = float(np.mean(np.sum(top, axis=1)))
    return Measurement(metrics, pictures)


def main(options: StudyFlags, only: str = "") -> None:
    """Both models, and their report.

    Args:
        options: preset, data and output.
        only: measure only what has this in its title.
    """
    study = options.study()
    study.measure(rows(study, only))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
