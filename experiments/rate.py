"""Rate and distortion: the beta-VAE's curve over beta, and where each sparse model lies beside it.

    python -m experiments.rate --preset quick

Averaged losses, D = 64. Codes are drawn from the posterior, as they must be for the KL to be what
they cost: the distortion here is above that of the posterior means in the other tables. Takes two
minutes on two CPU cores; expect the rate to fall from 280 nats at beta 0.0001 to 8 at 0.1.
"""

from collections.abc import Iterator
from typing import Any

from experiments.measures.rate import rate_and_distortion
from experiments.reporting.compose import write_report
from experiments.reporting.figures.rate_distortion import draw_curve
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, LATENT_DIM
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


def main(options: StudyFlags) -> None:
    """The sweep over beta alone, and its report."""
    study = options.study()
    study.measure(rows(study))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
