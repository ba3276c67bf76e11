"""What Top-K costs: epochs of beta-VAE and Top-K, one after the other, alternating.

python -m experiments.timing --preset paper
"""

import functools
import time

import jax
import numpy as np

from experiments import cli
from experiments.lineup import DIMENSION, ELEMENT, trained_models
from experiments.options import StudyOptions
from experiments.study import Measurement, Study
from experiments.table1 import LATENT_DIM, K
from experiments.tables import BASELINE
from vae_topk_jax.config import Config
from vae_topk_jax.training import Trainer

TOP_K = (DIMENSION, ELEMENT)


def run(study: Study) -> None:
    """Adds a timing row for each selection: median seconds of its epochs over the beta-VAE's."""
    rounds = study.budget.timing_rounds
    if not rounds:
        return
    models = trained_models(LATENT_DIM, K)
    configs = {
        title: study.config(epochs=rounds + 1, **models[title]) for title in (BASELINE, *TOP_K)
    }

    @functools.cache
    def alternate() -> dict[str, np.ndarray]:
        return dict(zip(configs, _alternate(study, list(configs.values()), rounds).T, strict=True))

    def measure(title: str) -> Measurement:
        beta, top_k = (alternate()[name] for name in (BASELINE, title))
        return Measurement(
            {
                "topk_over_beta": float(np.median(top_k) / np.median(beta)),
                "fastest_topk_over_beta": float(np.min(top_k) / np.min(beta)),
                "epoch_seconds_beta": float(np.median(beta)),
                "epoch_seconds_topk": float(np.median(top_k)),
            }
        )

    for title in TOP_K:
        settings = configs[title].to_dict() | {"rounds": rounds}
        study.measure(
            "timing", "alternating epochs", title, settings, None, functools.partial(measure, title)
        )


def _alternate(study: Study, configs: list[Config], rounds: int) -> np.ndarray:
    """Seconds of `rounds` epochs of each model, after one of warm-up, first and last by turns."""
    images = jax.device_put(study.dataset.train_images)
    runs = []
    for config in configs:
        trainer = Trainer(config, study.dataset.image_shape, len(images))
        runs.append(trainer.epochs(trainer.init(), images))
    for run in runs:
        next(run)
    seconds_RxM = np.empty((rounds, len(runs)))
    for turn in range(rounds):
        for model in range(len(runs))[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            next(runs[model])
            seconds_RxM[turn, model] = time.perf_counter() - started
    return seconds_RxM


def main(options: StudyOptions) -> None:
    """The timing alone."""
    run(options.study())


if __name__ == "__main__":
    cli.run(main)
