"""Supports that carry information: which latents are active says something of the image too.

    python -m experiments.supports --preset paper --part choice --epochs 6 --seeds 0 1
    python -m experiments.supports --preset paper --part final

The first line compares the variants, one change at a time, on 5,000 training images that are held
out, and takes an hour on one CPU core; the second trains what was chosen on all training images and
scores it on the test images.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from experiments.measures.generation import measure_model, settings
from experiments.reporting.columns import GENERATION, QUALITY, SAMPLERS, SPARSITY
from experiments.reporting.compose import write_report
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, ELEMENT, LATENT_DIM, K, dense_title, trained_models
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli
from vae_topk_jax.metrics import reconstruction_metrics

Part = Literal["choice", "final"]
CHOICE = "validation images"
SLOT = "Top-K by slot, mask seen"
LAYOUT = Experiment(
    "supports",
    "Supports that carry information",
    "By slot the latents are K groups, and the encoder chooses one latent of each. Where the mask "
    "is seen, the decoder gets z != 0 beside z. Supports: how many different sets of active "
    "latents the images have.",
    (
        QUALITY[0],
        QUALITY[2],
        *SPARSITY,
        Column("fewest_latents", "fewest", 0),
        Column("most_latents", "most", 0),
        Column("supports", "supports", 0),
        *GENERATION[: len(SAMPLERS)],
    ),
)
# Title -> what is trained; of each, all models of `finalists`.
RECIPES: dict[str, dict[str, Any]] = {
    "test images, 512/256": {},
    "test images, 1024/512": {"widths": (1024, 512), "epochs": 16},
}


def variants() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of what is compared on validation images.

    Examples:
        >>> variants()["slot, mask seen"]["mask_input"]
        True
    """
    element = {"model": "top_k_vae", "latent_dim": LATENT_DIM, "k": K}
    sample, slot = element | {"selection": "sample"}, element | {"selection": "slot"}
    seen = {"mask_input": True}
    return {
        "element": element,
        "slot, mask seen": slot | seen,
        "slot": slot,
        "element, mask seen": element | seen,
        "slot, mask seen, no balance term": slot | seen | {"choice_balance": 0.0},
        "slot, mask seen, balanced by bias alone": slot | seen | {"choice_balance": 0.0, "balance": 0.5},
        "slot, mask seen, balanced by bias too": slot | seen | {"balance": 0.5},
        "element, balanced by bias": element | {"balance": 0.5},
        "sample": sample,
        "sample, balanced by bias": sample | {"balance": 0.5},
        "sample, mask seen, balanced by bias": sample | seen | {"balance": 0.5},
        "slot, mask seen, temperature 0.5": slot | seen | {"choice_temperature": 0.5},
        "slot, mask seen, temperature 2": slot | seen | {"choice_temperature": 2.0},
        "slot, mask seen, temperature 2 to 0.5": slot | seen | {"choice_temperature": 2.0, "choice_anneal": 0.25},
        "slot, mask seen, balance term 0.01": slot | seen | {"choice_balance": 0.01},
        "slot, mask seen, balance term 0.0001": slot | seen | {"choice_balance": 0.0001},
        "sample, mask seen": sample | seen,
    }


def finalists() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of what is scored on test images."""
    models = trained_models(LATENT_DIM, K)
    slot = models[ELEMENT] | {"selection": "slot", "mask_input": True}
    return {title: models[title] for title in (BASELINE, dense_title(K), ELEMENT)} | {SLOT: slot}


def rows(study: Study, part: Part, only: str = "") -> Iterator[Planned]:
    """The rows of one part whose titles contain `only`."""
    if part == "choice":
        study = study.for_choices
        planned = {(CHOICE, title): fields for title, fields in variants().items()}
    else:
        planned = {
            (recipe, title): fields | more
            for (recipe, more), (title, fields) in itertools.product(
                RECIPES.items(), finalists().items()
            )
        }
    for seed, ((variant, title), fields) in itertools.product(study.budget.seeds, planned.items()):
        if only in f"{variant}: {title}":
            config = study.config(seed=seed, **fields)
            measure = functools.partial(_measure, study, part)
            options = settings(study) if part == "final" else {}
            yield study.plan_trained(LAYOUT.name, variant, title, config, measure, **options)


def _measure(study: Study, part: Part, trained: Trained) -> Measurement:
    model, images = trained.inference, study.test_images
    codes = np.asarray(model.encode(images))
    if part == "final":
        metrics, pictures = measure_model(study, model, model.config.seed)
    else:
        metrics, pictures = reconstruction_metrics(model.decode(codes), images), None
    active_N = np.sum(codes != 0, axis=1)
    metrics |= {
        "active_latents": float(np.mean(active_N)),
        "active_dims": len(model.active_dims),
        "fewest_latents": int(np.min(active_N)),
        "most_latents": int(np.max(active_N)),
        "supports": len(np.unique(codes != 0, axis=0)),
    }
    return Measurement(metrics, pictures)


def main(options: StudyFlags, part: Part = "final", only: str = "") -> None:
    """Variants on validation images, or the chosen one on test images, and their report.

    Args:
        options: preset, data and output.
        part: "choice" compares the variants, "final" scores what was chosen.
        only: measure only what has this in its title.
    """
    study = options.study()
    study.measure(rows(study, part, only))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
