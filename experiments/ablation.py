"""Every variant of the selection against the others, one change at a time: K=8 of 64, averaged KL,
measured on 5,000 training images that are held out, so that what is chosen here can be scored on
the test images once.

    python -m experiments.ablation --preset quick --epochs 4 --seeds 0 1 2 --out runs/ablation
    python -m experiments.ablation --preset paper --epochs 5 --seeds 0 1 2 --only element

One table, the fronts of reconstruction against generation, sparsity and robustness, and how much
the masks change while they are learnt. The first line takes half an hour on one CPU core; expect
PSNR 18.4 dB by dimension, 18.8 by element and per sample. An interrupted run picks up where it
stopped.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from experiments.measures.generation import measure_model, settings
from experiments.measures.robustness import measure_robustness
from experiments.records.rows import Place
from experiments.reporting.columns import ACCURACY, GENERATION, QUALITY, SAMPLERS, SPARSITY
from experiments.reporting.compose import write_report
from experiments.reporting.figures.churn import draw_churn
from experiments.reporting.figures.fronts import draw_fronts
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, LATENT_DIM, K, dense_title, pca_title
from experiments.study.options import StudyFlags
from experiments.study.pca import PCA
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli

VARIANT = f"K={K} of {LATENT_DIM}, averaged KL"
CHURN = Column("agreement", "agreement in the last epoch", 3, "higher")
LAYOUT = Experiment(
    "ablation",
    "Ablation: one change at a time",
    "Variants of the batch Top-K under one budget. Agreement: Jaccard index of the mask that a "
    "training batch chooses and the one that the running statistics would.",
    (QUALITY[0], QUALITY[2], *GENERATION[: len(SAMPLERS)], *SPARSITY, CHURN),
    further={"robustness": ACCURACY},
    figures=(draw_fronts, draw_churn),
)

_RULES: dict[str, dict[str, Any]] = {
    "dimension": {"selection": "dimension", "sensitivity_every": 0},
    "element": {"selection": "element", "sensitivity_every": 0},
    "sample": {"selection": "sample", "sensitivity_every": 0},
}
_RANKINGS: dict[str, dict[str, dict[str, Any]]] = {
    "dimension": {
        "KL": {"importance": "kl"},
        "mean |z|, the paper": {"importance": "mean_abs_z"},
        "mean |mu|": {"importance": "mean_abs_mu"},
        "signal to noise": {"importance": "signal_to_noise"},
        "fixed at random": {"importance": "fixed"},
        "mean |mu| x sensitivity": {"importance": "mean_abs_mu", "sensitivity_every": 10},
    },
    "element": {
        "|mu|": {"score": "abs_mu"},
        "|z|": {"score": "abs_z"},
        "KL": {"score": "kl"},
        "signal to noise": {"score": "signal_to_noise"},
        "|mu| x sensitivity": {"score": "abs_mu", "sensitivity_every": 10},
    },
    "sample": {
        "|mu|": {"score": "abs_mu"},
        "|mu| x sensitivity": {"score": "abs_mu", "sensitivity_every": 10},
    },
}
# each is one change to the first ranking of the rule
_CHANGES: dict[str, dict[str, Any]] = {
    "K annealed": {"k_anneal": 0.3},
    "KL of active only": {"kl_inactive": 0.0},
    "unused pulled to the prior": {"kl_inactive": 10.0},
    "nested": {"nested": True},
}
_MEANINGLESS = {("element", "nested")}


def variants() -> dict[str, dict[str, Any]]:
    """Title -> configuration fields, baselines first.

    Examples:
        >>> variants()["element: |mu|, K annealed"]["k_anneal"]
        0.3
    """
    dense = {"model": "beta_vae"}
    found: dict[str, dict[str, Any]] = {
        BASELINE: dense,
        dense_title(K): dense | {"latent_dim": K},
    }
    for rule, fields in _RULES.items():
        rankings = _RANKINGS[rule]
        for ranking, more in rankings.items():
            found[f"{rule}: {ranking}"] = {"model": "top_k_vae", "k": K} | fields | more
        first = next(iter(rankings))
        for change, more in _CHANGES.items():
            if (rule, change) not in _MEANINGLESS:
                found[f"{rule}: {first}, {change}"] = found[f"{rule}: {first}"] | more
    return found


def rows(study: Study, only: str = "") -> Iterator[Planned]:
    """Every variant whose title contains `only`, and the beta-VAE."""
    chosen = {
        title: fields for title, fields in variants().items() if only in title or title == BASELINE
    }
    for seed, (title, fields) in itertools.product(study.budget.seeds, chosen.items()):
        config = study.config(seed=seed, **{"latent_dim": LATENT_DIM} | fields)
        measure = functools.partial(_measure, study)
        yield study.plan_trained(LAYOUT.name, VARIANT, title, config, measure, **settings(study))
    yield _pca(study)


def _pca(study: Study) -> Planned:
    def measure() -> Measurement:
        pca = PCA(study.train_images, K)
        metrics, _ = measure_model(study, pca, seed=0)
        accuracies, _ = measure_robustness(study, pca, seed=0)
        return Measurement(metrics | accuracies)

    fields = settings(study) | {"components": K}
    return study.plan(Place(LAYOUT.name, VARIANT, pca_title(K), None), fields, measure)


def _measure(study: Study, trained: Trained) -> Measurement:
    inference = trained.inference
    metrics, _ = measure_model(study, inference, inference.config.seed)
    accuracies, _ = measure_robustness(study, inference, inference.config.seed)
    metrics |= accuracies
    if "agreement" in trained.history:
        metrics["agreement"] = trained.history["agreement"][-1]
    history = {name: value for name, value in trained.history.items() if name != "importance"}
    return Measurement(metrics, None, history)


def main(options: StudyFlags, only: str = "") -> None:
    """The ablation and its report.

    Args:
        options: preset, data and output.
        only: measure only the variants whose title contains this, and the beta-VAE.
    """
    study = options.study().for_choices
    study.measure(rows(study, only))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
