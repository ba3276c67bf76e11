"""Images of the class that is asked for: by element, dense, and dense with as many latents as K.

    python -m experiments.classes --preset paper --seeds 0 1 2

Encoder and decoder are given the labels, one in ten of which is left out in training; the KL is
summed over the latents, so that the prior is worth drawing from.
"""

from collections.abc import Iterator

from experiments.measures.conditional import measure_conditional
from experiments.measures.generation import settings
from experiments.reporting.columns import GENERATION, SAMPLERS
from experiments.reporting.compose import write_report
from experiments.reporting.figures.strips import draw_class_grids
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, ELEMENT, LATENT_DIM, K, dense_title, trained_models
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli

VARIANT = "summed KL"
LAYOUT = Experiment(
    "classes",
    "Classes: images of the class that is asked for",
    "As many images of each class are generated, and a classifier says which class they are of. "
    "Codes are drawn from the prior; from the patterns of training images of the class, with "
    "Gaussian values; or from a mixture fitted to the latents of the class. PSNR is that of test "
    "images whose label is given, and of the same without.",
    (
        *(Column(f"asked_{name}", f"as asked, {name}", 4, "higher") for name in SAMPLERS),
        *GENERATION[: len(SAMPLERS)],
        Column("psnr", "PSNR", 2, "higher", "dB"),
        Column("psnr_unlabelled", "PSNR without label", 2, "higher", "dB"),
    ),
    figures=(draw_class_grids,),
    models=(ELEMENT, BASELINE, dense_title(K)),
)


def rows(study: Study) -> Iterator[Planned]:
    """One row for each model and seed."""

    def measure(trained: Trained) -> Measurement:
        found = measure_conditional(study, trained.inference, trained.seed)
        return Measurement(*found, trained.history)

    models = trained_models(LATENT_DIM, K)
    for seed in study.budget.seeds:
        for title in LAYOUT.models:
            fields = models[title] | {"classes": study.dataset.num_classes}
            config = study.config({"latent_reduction": "sum"}, seed=seed, **fields)
            yield study.plan_trained(
                LAYOUT.name, VARIANT, title, config, measure, **settings(study)
            )


def main(options: StudyFlags) -> None:
    """The rows of every model, and their report."""
    study = options.study()
    study.measure(rows(study))
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
