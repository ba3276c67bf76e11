"""Supports that carry information: which latents are active says something of the image too.

    python -m experiments.supports --preset paper --part choice --only images: --epochs 6
    python -m experiments.supports --preset paper --part choice --only 1024/512 --seeds 0
    python -m experiments.supports --preset paper --part final

The first two compare, on 5,000 training images that are held out, the variants, one change at a
time (half an hour on one CPU core), and how a larger body is trained (40 minutes). The third trains
what was chosen on all training images and scores it on the test images. Expect by slot 19.6 dB of
the first; of the third 20.5 dB with the smaller body, 0.6 dB more than by element, and 22.7 dB,
refined, with the larger one.
"""

import functools
import itertools
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from experiments.measures.generation import measure_model, settings
from experiments.reporting.columns import GENERATION, QUALITY, SAMPLERS, SPARSITY
from experiments.reporting.compose import write_report
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import (
    BASELINE,
    ELEMENT,
    LARGE,
    LATENT_DIM,
    SLOT,
    SLOT_FIELDS,
    K,
    dense_title,
    trained_models,
)
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli
from vae_topk_jax.metrics import reconstruction_metrics

Part = Literal["choice", "final"]
CHOICE = "validation images"
LAYOUT = Experiment(
    "supports",
    "Supports that carry information",
    "By slot the latents are K groups, and the encoder chooses one latent of each; the decoder "
    "sees z != 0 beside z, and the KL is that of the active entries. Changes are one at a time; "
    "both: mask seen and KL of active. Supports: how many different sets of active latents the "
    "images have.",
    (
        QUALITY[0],
        QUALITY[2],
        *SPARSITY,
        Column("fewest_latents", "fewest", 0),
        Column("most_latents", "most", 0),
        Column("supports", "supports", 0),
        *GENERATION[: len(SAMPLERS)],
        Column("psnr_refined", "PSNR, refined", 2, "higher", "dB"),
        Column("ssim_refined", "SSIM, refined", 3, "higher"),
        Column("active_latents_refined", "active, refined", 2),
        Column("refine_ms", "refinement", 1, "lower", "ms"),
    ),
)


class Recipe(NamedTuple):
    """How all models of a variant are trained and scored.

    Attributes:
        fields: of their configurations.
        passes: of refinement, where the codes are scored refined too; 0: generated images are.
    """

    fields: dict[str, Any]
    passes: int = 0


# What was chosen on validation images for all models of that body.
LEARNT: dict[str, Any] = {"structural": 0.05, "train_refined": 0.5}
LONGER_CHOICE, LARGE_CHOICE = f"{CHOICE}, 10 epochs", f"{CHOICE}, 1024/512"
SMALL_FINAL, LARGE_FINAL = "test images, 512/256", "test images, 1024/512"
RECIPES = {
    CHOICE: Recipe({}),
    LONGER_CHOICE: Recipe({"epochs": 10}),
    LARGE_CHOICE: Recipe(LARGE, passes=8),
    SMALL_FINAL: Recipe({}),
    LARGE_FINAL: Recipe(LARGE | LEARNT, passes=8),
}


# Measured like `variants()`, and left out since.
TRIALS = (
    "element, balanced by bias",
    "sample, balanced by bias",
    "element, balanced by bias, both",
    "sample, balanced by bias, both",
    "slot, balanced by Sinkhorn",
    "slot, Sinkhorn and balance term",
)
# What was better than the default after six epochs.
LONGER = ("slot", "slot, temperature 4")


def variants() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of what is compared on validation images.

    Examples:
        >>> variants()["slot"]["mask_input"], variants()["slot, mask not seen"]["mask_input"]
        (True, False)
    """
    top_k = {"model": "top_k_vae", "latent_dim": LATENT_DIM, "k": K}
    seen, of_active = {"mask_input": True}, {"kl_inactive": 0.0}
    slot = top_k | SLOT_FIELDS
    changes: dict[str, dict[str, Any]] = {
        "mask not seen": {"mask_input": False},
        "KL of all": {"kl_inactive": 1.0},
        "no balance term": {"choice_balance": 0.0},
        "balance term 0.0003": {"choice_balance": 0.0003},
        "balance term 0.003": {"choice_balance": 0.003},
        "temperature 1": {"choice_temperature": 1.0},
        "temperature 4": {"choice_temperature": 4.0},
        "temperature 8": {"choice_temperature": 8.0},
    }
    others = {rule: top_k | {"selection": rule} for rule in ("element", "sample")}
    return (
        {"slot": slot}
        | others
        | {f"{rule}, mask seen": fields | seen for rule, fields in others.items()}
        | {f"{rule}, KL of active": fields | of_active for rule, fields in others.items()}
        | {f"{rule}, both": fields | seen | of_active for rule, fields in others.items()}
        | {f"slot, {change}": slot | fields for change, fields in changes.items()}
    )


def recipes() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of what is compared by slot with the larger body.

    Examples:
        >>> list(recipes())[-1]
        'slot, structural 0.05, half on refined codes, temperature 4'
    """
    slot = variants()["slot"]
    structural = {f"slot, structural {w}": slot | {"structural": w} for w in (0.02, 0.05, 0.1)}
    refined = "slot, structural 0.05, half on refined codes"
    return structural | {
        refined: slot | LEARNT,
        f"{refined}, temperature 4": slot | LEARNT | {"choice_temperature": 4.0},
    }


def finalists() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields of what is scored on test images."""
    models = trained_models(LATENT_DIM, K)
    return {title: models[title] for title in (BASELINE, dense_title(K), ELEMENT, SLOT)}


def rows(study: Study, part: Part, only: str = "") -> Iterator[Planned]:
    """The rows of one part whose titles contain `only`."""
    if part == "choice":
        study = study.for_choices
        longer = {title: variants()[title] for title in LONGER}
        compared = {CHOICE: variants(), LONGER_CHOICE: longer, LARGE_CHOICE: recipes()}
    else:
        compared = dict.fromkeys((SMALL_FINAL, LARGE_FINAL), finalists())
    planned = {(variant, title): f for variant, fs in compared.items() for title, f in fs.items()}
    for seed, ((variant, title), fields) in itertools.product(study.budget.seeds, planned.items()):
        if only in f"{variant}: {title}":
            recipe, passes = RECIPES[variant]
            config = study.config(seed=seed, **recipe | fields)
            generates = part == "final" and not passes
            measure = functools.partial(_measure, study, passes, generates)
            options = settings(study) if generates else {"passes": passes} if passes else {}
            yield study.plan_trained(LAYOUT.name, variant, title, config, measure, **options)


def _measure(study: Study, passes: int, generates: bool, trained: Trained) -> Measurement:
    model, images = trained.inference, study.test_images
    codes = np.asarray(model.encode(images))
    if generates:
        metrics, pictures = measure_model(study, model, model.config.seed)
    else:
        metrics, pictures = reconstruction_metrics(model.decode(codes), images), None
    if passes:
        started = time.perf_counter()
        refined = np.asarray(model.encode(images, refine=passes))
        metrics["refine_ms"] = 1e3 * (time.perf_counter() - started) / len(images)
        scores = reconstruction_metrics(model.decode(refined), images)
        metrics |= {f"{name}_refined": scores[name] for name in ("psnr", "ssim")}
        metrics["active_latents_refined"] = float(np.mean(np.sum(refined != 0, axis=1)))
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
