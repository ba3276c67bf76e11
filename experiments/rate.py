"""Rate and distortion: the beta-VAE's curve over beta, and where each sparse model lies beside it.

    python -m experiments.rate --preset paper --seeds 0 1 2

Averaged losses, D = 64; the models of Table 1, and the curve of the first seed. Codes are drawn
from the posterior, as they must be for the KL to be what they cost: the distortion here is above
that of the posterior means in the other tables. Takes a quarter of an hour on one CPU core; expect
the rate to fall from 280 nats at beta 0.0001 to 8 at 0.1.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from experiments.measures.rate import rate_and_distortion
from experiments.reporting.compose import write_report
from experiments.reporting.figures.rate_distortion import draw_curve
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, LATENT_DIM, K, trained_models
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli
from vae_topk_jax.config import Config

BETAS = (1e-4, 3e-4, 3e-3, 1e-2, 3e-2, 1e-1)  # and the baseline's own, 1e-3
VARIANT = f"D={LATENT_DIM}"
LAYOUT = Experiment(
    "rate",
    "Rate and distortion",
    "Codes are drawn from the posterior. Systems without one have no rate.",
    (
        Column("rate", "rate", 2, unit="nats"),
        Column("mse", "MSE", 5),
        Column("distortion", "distortion", 1, unit="nats"),
        Column("rate_and_distortion", "rate + distortion", 1, unit="nats"),
    ),
    figures=(draw_curve,),
)


def rows(study: Study, only: str = "") -> Iterator[Planned]:
    """The beta-VAE over beta, one seed each, if its title contains `only`."""
    for beta in BETAS:
        title = f"{BASELINE}, beta {beta:g}"
        fields: dict[str, Any] = {"model": "beta_vae", "latent_dim": LATENT_DIM, "beta": beta}
        if only in title:
            config = study.config(seed=study.budget.seeds[0], **fields)
            yield from plan_rate(study, title, config)


def plan_rate(study: Study, title: str, config: Config) -> Iterator[Planned]:
    """The rate row of one model, if it has a posterior."""
    if not getattr(config.system, "has_noise", hasattr(config.system, "posterior")):
        return

    def measure(trained: Trained) -> Measurement:
        return Measurement(rate_and_distortion(trained.inference, study.test_images))

    yield study.plan_trained(LAYOUT.name, VARIANT, title, config, measure)


def systems(study: Study) -> Iterator[Planned]:
    """The models of Table 1."""
    models = trained_models(LATENT_DIM, K)
    for seed, (title, fields) in itertools.product(study.budget.seeds, models.items()):
        yield from plan_rate(study, title, study.config(seed=seed, **fields))


def main(options: StudyFlags) -> None:
    """The models of Table 1, the sweep over beta, and their report."""
    study = options.study()
    study.measure([*rows(study), *systems(study)])
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
