"""What Top-K costs: epochs of beta-VAE and Top-K, one after the other, alternating.

python -m experiments.timing --preset paper
"""

import time

import jax
import numpy as np

from experiments import cli
from experiments.lineup import DEFAULT, trained_models
from experiments.options import StudyOptions
from experiments.study import Measurement, Study
from experiments.table1 import LATENT_DIM, K
from vae_topk_jax.config import Config
from vae_topk_jax.training import Trainer


def run(study: Study) -> None:
    """Adds the timing row: median seconds of an epoch of each model, and their ratio."""
    rounds = study.budget.timing_rounds
    if not rounds:
        return
    models = trained_models(LATENT_DIM, K)
    configs = {
        title: study.config(epochs=rounds + 1, **models[title]) for title in ("beta-VAE", DEFAULT)
    }

    def measure() -> Measurement:
        seconds_RxM = _alternate(study, list(configs.values()), rounds)
        beta, top_k = seconds_RxM.T
        return Measurement(
            {
                "topk_over_beta": float(np.median(top_k) / np.median(beta)),
                "fastest_topk_over_beta": float(np.min(top_k) / np.min(beta)),
                "epoch_seconds_beta": float(np.median(beta)),
                "epoch_seconds_topk": float(np.median(top_k)),
            }
        )

    settings = configs[DEFAULT].to_dict() | {"rounds": rounds}
    study.measure("timing", "alternating epochs", DEFAULT, settings, None, measure)


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
