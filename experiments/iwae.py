"""What training on the importance-weighted bound gains over the ELBO, in nats.

    python -m experiments.iwae --preset paper --seeds 0 1 2 --epochs 6

Two VAEs of 16 latents and equal steps on statically binarised images, one trained on the bound of
50 draws, whose decoder works fifty times as much. A seed takes 25 minutes on one CPU core; expect
bounds of -100.7 nats after the ELBO and -97.7 after the importance-weighted bound.
"""

import functools
from collections.abc import Iterator
from typing import Any

from experiments.likelihood import COLUMNS
from experiments.measures.likelihood import SAMPLES, measured_bounds
from experiments.reporting.compose import write_report
from experiments.reporting.figures.training_curves import draw_losses
from experiments.reporting.layout import Experiment
from experiments.study.lineup import TEXTBOOK
from experiments.study.options import StudyFlags
from experiments.study.planned import Planned
from experiments.study.study import Study
from experiments.terminal import cli
from vae_topk_jax.data import binarized

DRAWS = 50
WIDTHS = (256, 128)
OBJECTIVES: dict[str, dict[str, Any]] = {
    "ELBO": {},
    f"IWAE, {DRAWS} draws": {"objective": "iwae", "importance_samples": DRAWS},
}
LAYOUT = Experiment(
    "iwae",
    "Importance-weighted training",
    "Dense VAEs of 16 latents and the same body, trained for equally many steps; nats per image. "
    "The binarisation is our own draw from the grey values, made once.",
    COLUMNS,
    figures=(draw_losses,),
)


def rows(study: Study) -> Iterator[Planned]:
    """Both objectives, each seed."""
    own = study.on(binarized(study.dataset))
    settings = {"bound_samples": SAMPLES, "images": study.budget.samples}
    measure = functools.partial(measured_bounds, own)
    for seed in study.budget.seeds:
        for title, fields in OBJECTIVES.items():
            given = TEXTBOOK | {"latent_dim": 16, "widths": WIDTHS} | fields
            config = study.config(seed=seed, **given)
            cost = float(fields.get("importance_samples", 1))
            yield own.plan_trained(
                LAYOUT.name, "statically binarised", title, config, measure, cost, **settings
            )


def main(options: StudyFlags) -> None:
    """Both, and their report."""
    study = options.study()
    study.measure(rows(study))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
