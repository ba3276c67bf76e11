"""How probable a dense VAE of 16 latents finds its images, in nats.

    python -m experiments.likelihood --preset quick

Trained and tested on statically binarised images, and on grey ones. On binarised MNIST the bound of
a VAE of this kind is published at about -90 nats an image. The binarisation is our own draw, and
grey images make no Bernoulli likelihood: there both figures are cross-entropies.
"""

import dataclasses
import itertools

from experiments.measures.likelihood import SAMPLES, bounds
from experiments.reporting.compose import write_report
from experiments.study.lineup import TEXTBOOK
from experiments.study.options import StudyOptions
from experiments.study.study import Measurement, Study
from experiments.terminal import cli
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset, binarized
from vae_topk_jax.runs.progress import console

TITLE = "dense VAE, 16 latents"


def run(study: Study) -> None:
    """Measures both bounds on the test images, binarised and grey."""
    sets: dict[str, Dataset] = {
        "statically binarised": binarized(study.dataset),
        "grey": study.dataset,
    }
    for seed, (variant, dataset) in itertools.product(study.budget.seeds, sets.items()):
        config = study.config(seed=seed, latent_dim=16, **TEXTBOOK)
        _measure(dataclasses.replace(study, dataset=dataset, _last_trained={}), variant, config)


def _measure(study: Study, variant: str, config: Config) -> None:
    def measure() -> Measurement:
        trained = study.train(config, f"{TITLE}, {variant}, seed {config.seed}")
        found = bounds(
            trained.inference, study.test_images[: study.budget.samples], config.seed, SAMPLES
        )
        metrics = {
            "elbo": float(found.elbo_N.mean()),
            "importance_bound": float(found.importance_N.mean()),
            "rate": float(found.kl_N.mean()),
            "seconds_training": round(trained.seconds, 2),
        }
        return Measurement(metrics, None, trained.history)

    settings = config.to_dict() | {"bound_samples": SAMPLES, "images": study.budget.samples}
    study.measure("likelihood", variant, TITLE, settings, config.seed, measure)


def main(options: StudyOptions) -> None:
    """The likelihood alone, and its report."""
    run(options.study())
    markdown, page = write_report(options.folder)
    console.print(f"report: {markdown}, {page}")


if __name__ == "__main__":
    cli.run(main)
