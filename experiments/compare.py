"""Every system beside every other: K=8 of 64, averaged losses, one budget, one table.

    python -m experiments.compare --preset quick
    python -m experiments.compare --preset paper --seeds 0 1 --only Top-K

With the beta-VAE's rate-distortion curve, the likelihood of a dense VAE, and what each latent does
to an image. The first line takes 20 minutes on two CPU cores; expect PSNR 21.1 dB of the beta-VAE,
18.2 by element and of the sparse generator, 16.8 and 15.8 of VSC, 17.4 of the SAE on pixels. An
interrupted run picks up where it stopped.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import jax

from experiments import likelihood, rate
from experiments.measures.generation import settings
from experiments.measures.system import measure_system
from experiments.records.rows import Place
from experiments.reporting.columns import ACCURACY, GENERATION, QUALITY, SAMPLERS, SPARSITY
from experiments.reporting.compose import write_report
from experiments.reporting.figures.strips import (
    draw_latents,
    draw_noise,
    draw_reconstructions,
    draw_samples,
)
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import LATENT_DIM, TEXTBOOK, K, pca_title, trained_models
from experiments.study.options import StudyFlags
from experiments.study.pca import PCA
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli

VARIANT = f"K={K} of {LATENT_DIM}"
LAYOUT = Experiment(
    "compare",
    "Comparison: every system",
    "One budget for all, and one body but for the SAE and PCA, which are linear. VSC and the "
    "sparse generator have betas of their own, at which about K latents are active. Best "
    "sampler: of the prior, the patterns and the mixture of Table 1, the one with the smallest "
    "distance.",
    (
        QUALITY[0],
        QUALITY[2],
        Column("fid_clf_best", "FID-clf, best sampler", 1, "lower"),
        GENERATION[0],
        Column("kid_clf_best", "KID-clf, best sampler", 3, "lower"),
        GENERATION[len(SAMPLERS)],
        *ACCURACY,
        *SPARSITY,
        Column("hoyer", "Hoyer", 3),
        Column("active_units", "active units", 0),
        Column("linear_probe", "linear probe", 4, "higher"),
        Column("parameters", "parameters", 0),
        Column("seconds_epoch", "per epoch", 2, "lower", "s"),
        Column("encode_ms", "encoding an image", 4, "lower", "ms"),
    ),
    figures=(draw_reconstructions, draw_samples, draw_noise, draw_latents),
)

_SIZES = {"latent_dim": LATENT_DIM, "k": K}
# Betas at which about K latents are active; at the others' 0.001 there are 20 and more.
_VSC = _SIZES | {"model": "vsc", "beta": 0.01}
_GENERATOR = _SIZES | {"model": "sparse_generator", "beta": 0.015}
SYSTEMS: dict[str, dict[str, Any]] = {
    "dense VAE, Bernoulli": TEXTBOOK | {"latent_dim": LATENT_DIM},
    **trained_models(LATENT_DIM, K),
    "VSC, pseudo-inputs": _VSC | {"vsc_prior": "pseudo_inputs"},
    "VSC, fixed prior": _VSC | {"vsc_prior": "fixed"},
    "sparse generator": _GENERATOR,
    "BatchTopK SAE on pixels": _SIZES | {"model": "batch_topk_sae", "pixel_reduction": "sum"},
}


def rows(study: Study, only: str = "") -> Iterator[Planned]:
    """Every system whose title contains `only`, the curve and the likelihood."""
    for seed, (title, fields) in itertools.product(study.budget.seeds, SYSTEMS.items()):
        if only in title:
            config = study.config(seed=seed, **fields)
            measure = functools.partial(_measure, study)
            yield study.plan_trained(
                LAYOUT.name, VARIANT, title, config, measure, **settings(study)
            )
            yield from rate.plan_rate(study, title, config)
    if only in pca_title(K):
        yield _pca(study)
    yield from rate.rows(study, only)
    if only in likelihood.TITLE:
        yield from likelihood.rows(study)


def _measure(study: Study, trained: Trained) -> Measurement:
    inference = trained.inference
    metrics, pictures = measure_system(study, inference, inference.config.seed)
    leaves = jax.tree.leaves(inference.variables["params"])
    metrics["parameters"] = sum(leaf.size for leaf in leaves)
    if trained.seconds_epoch is not None:
        metrics["seconds_epoch"] = round(trained.seconds_epoch, 3)
    return Measurement(metrics, pictures)


def _pca(study: Study) -> Planned:
    def measure() -> Measurement:
        metrics, pictures = measure_system(study, PCA(study.train_images, K), seed=0)
        metrics["parameters"] = (K + 1) * study.train_images[0].size
        return Measurement(metrics, pictures)

    fields = settings(study) | {"components": K}
    return study.plan(Place(LAYOUT.name, VARIANT, pca_title(K), None), fields, measure)


def main(options: StudyFlags, only: str = "") -> None:
    """The comparison and its report.

    Args:
        options: preset, data and output.
        only: measure only what has this in its title.
    """
    study = options.study()
    study.measure(rows(study, only))
    write_report(options.folder, [LAYOUT, rate.LAYOUT, likelihood.LAYOUT])


if __name__ == "__main__":
    cli.run(main)
