"""Levels of latents: the ladder beside a flat model with as many active latents.

    python -m experiments.levels --preset quick --epochs 3 --seeds 0 --part choice
    python -m experiments.levels --preset quick --epochs 10 --seeds 0 1 2

The first line compares how 64 latents, 12 of them active, are shared between the levels, on 5,000
training images that are held out; the second scores what was chosen on the test images. Both take
some minutes on one CPU core.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, Literal

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
from vae_topk_jax.metrics import reconstruction_metrics

Part = Literal["choice", "final"]
K = 12
CHOICE, FINAL = "validation images", "test images"
LADDER = "ladder, 4 of 16 and 8 of 48"
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


def variants() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of what is compared on validation images.

    Examples:
        >>> variants()["ladder, 6 of 32 and 6 of 32"]["level_k"]
        (6, 6)
    """
    shares = {(4, 8): (16, 48), (6, 6): (32, 32), (8, 4): (16, 48), (2, 10): (8, 56)}
    flat: dict[str, Any] = {"model": "top_k_vae", "latent_dim": LATENT_DIM, "k": K}
    return {ELEMENT: flat} | {
        f"ladder, {top} of {levels[0]} and {lower} of {levels[1]}": {
            "model": "ladder_vae",
            "latent_dim": LATENT_DIM,
            "levels": levels,
            "level_k": (top, lower),
        }
        for (top, lower), levels in shares.items()
    }


def rows(study: Study, part: Part, only: str = "") -> Iterator[Planned]:
    """The rows of one part whose titles contain `only`."""
    is_final = part == "final"
    planned = variants()
    if is_final:
        planned = {title: planned[title] for title in (ELEMENT, LADDER)}
    else:
        study = study.for_choices
    for seed, (title, fields) in itertools.product(study.budget.seeds, planned.items()):
        if only in title:
            config = study.config(seed=seed, **fields)
            measure = functools.partial(_measure, study, is_final)
            options = settings(study) if is_final else {}
            variant = FINAL if is_final else CHOICE
            yield study.plan_trained(LAYOUT.name, variant, title, config, measure, **options)


def _measure(study: Study, generates: bool, trained: Trained) -> Measurement:
    model, images = trained.inference, study.test_images
    codes = np.asarray(model.encode(images))
    if generates:
        metrics, pictures = measure_model(study, model, trained.seed)
    else:
        metrics, pictures = reconstruction_metrics(model.decode(codes), images), None
    active = codes != 0
    metrics |= {
        "kl": trained.history["kl"][-1] * LATENT_DIM,
        "active_latents": float(np.mean(np.sum(active, axis=1))),
        "active_dims": len(model.active_dims),
        "supports": len(np.unique(active, axis=0)),
    }
    if hasattr(model.model, "by_level"):
        top = model.model.by_level(active)[0]
        metrics["active_latents_top"] = float(np.mean(np.sum(top, axis=1)))
    return Measurement(metrics, pictures)


def main(options: StudyFlags, part: Part = "final", only: str = "") -> None:
    """Shares of the levels on validation images, or the chosen one on test images.

    Args:
        options: preset, data and output.
        part: "choice" compares the shares, "final" scores what was chosen.
        only: measure only what has this in its title.
    """
    study = options.study()
    study.measure(rows(study, part, only))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
