"""How probable a dense VAE of 16 latents finds its images, in nats.

    python -m experiments.likelihood --preset paper --seeds 0 --epochs 30

Trained and tested on statically binarised images, and on grey ones. Takes half an hour on two CPU
cores; expect a bound of -91.8 on binarised images and -94.4 on grey ones. On binarised MNIST the
bound of a VAE of this kind is published at about -90 nats per image. The binarisation is our own
draw, and grey images make no Bernoulli likelihood: there both figures are cross-entropies.
"""

import functools
import itertools
from collections.abc import Iterator

from experiments.measures.likelihood import SAMPLES, measured_bounds
from experiments.reporting.compose import write_report
from experiments.reporting.figures.training_curves import draw_losses
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import TEXTBOOK
from experiments.study.options import StudyFlags
from experiments.study.planned import Planned
from experiments.study.study import Study
from experiments.terminal import cli
from vae_topk_jax.data import Dataset, binarized

TITLE = "dense VAE, 16 latents"
COLUMNS = (
    Column("elbo", "ELBO", 2, "higher", "nats"),
    Column("importance_bound", f"bound of {SAMPLES} samples", 2, "higher", "nats"),
    Column("rate", "KL", 2, unit="nats"),
)
LAYOUT = Experiment(
    "likelihood",
    "Likelihood of the test images",
    "Nats per image; a density of pixels that are black or white. On grey images the same sums "
    "are cross-entropies, not likelihoods. The binarisation is our own draw from the grey "
    "values, made once.",
    COLUMNS,
    figures=(draw_losses,),
)


def rows(study: Study) -> Iterator[Planned]:
    """Both bounds on the test images, binarised and grey."""
    sets: dict[str, Dataset] = {
        "statically binarised": binarized(study.dataset),
        "grey": study.dataset,
    }
    for seed, (variant, dataset) in itertools.product(study.budget.seeds, sets.items()):
        config = study.config(seed=seed, latent_dim=16, **TEXTBOOK)
        own = study.on(dataset)
        settings = {"bound_samples": SAMPLES, "images": study.budget.samples}
        measure = functools.partial(measured_bounds, own)
        yield own.plan_trained(LAYOUT.name, variant, TITLE, config, measure, **settings)


def main(options: StudyFlags) -> None:
    """The likelihood alone, and its report."""
    study = options.study()
    study.measure(rows(study))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
