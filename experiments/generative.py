"""Learned priors: how good are images that are generated from sparse codes?

    python -m experiments.generative --preset paper --part choice --seeds 0
    python -m experiments.generative --preset paper --seeds 0 1 2

The first line compares settings of the priors on 5,000 training images that are held out, the
second scores what was chosen on the test images. The floor of a model is what its own
reconstructions of training images score. A model takes 45 minutes on one CPU core.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from experiments.measures.priors import Floor, measure_prior
from experiments.reporting.columns import QUALITY
from experiments.reporting.compose import write_report
from experiments.reporting.figures.draw import draw_all
from experiments.reporting.figures.generated import draw_generated
from experiments.reporting.figures.generators import draw_generators
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import (
    BASELINE,
    DIMENSION,
    ELEMENT,
    LARGE,
    LATENT_DIM,
    SAMPLE,
    SLOT,
    K,
    dense_title,
    trained_models,
)
from experiments.study.options import StudyFlags
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from experiments.terminal import cli
from vae_topk_jax.config import Config
from vae_topk_jax.priors.registry import OWN, PRIORS, settings_of

Part = Literal["choice", "final"]
FLOOR = "train images, reconstructed (floor)"
CHOICE, CHOICE_BY_SLOT = "validation images", "validation images, by slot"
LADDER, LEVELS = "ladder, 3 of 16 and 5 of 48", {"levels": (16, 48), "level_k": (3, 5)}
CLASSES = f"{ELEMENT}, classes"
# Title -> the model that is given classes, and what differs from it.
WITH_CLASSES: dict[str, tuple[str, dict[str, Any]]] = {
    CLASSES: (ELEMENT, {}),
    f"{CLASSES}, KL summed": (ELEMENT, {"latent_reduction": "sum"}),
    f"{CLASSES}, 1024/512": (ELEMENT, LARGE),
    f"{BASELINE}, classes": (BASELINE, {}),
    f"{dense_title(K)}, classes": (dense_title(K), {}),
}
# Title -> what differs from the default by element, and titles of other systems -> their names.
OBJECTIVES: dict[str, dict[str, Any]] = {
    f"{ELEMENT}, InfoVAE": {"objective": "info_vae"},
    f"{ELEMENT}, InfoVAE, 1024/512": {"objective": "info_vae"} | LARGE,
    f"{ELEMENT}, WAE": {"objective": "wae"},
    f"{ELEMENT}, RAE": {"objective": "rae"},
}
RIVALS = {"VAEase": "vaease", "learned threshold": "learned_threshold"}
RULES = (ELEMENT, BASELINE, dense_title(K), DIMENSION, SAMPLE, SLOT)  # and dense models
LAYOUT = Experiment(
    "generative",
    "Learned priors: images from sparse codes",
    "Priors are fitted to the codes of all training images after training. The floor of a model is "
    "what its reconstructions of training images score. Precision and recall are those of balls "
    "around the classifier's features; supports are compared with those of the training images' "
    "codes. A model with classes is asked for each in turn. Pictures are the first ones drawn.",
    (
        QUALITY[0],
        QUALITY[2],
        Column("fid_clf", "FID-clf", 1, "lower"),
        Column("fid_over_floor", "over the floor", 2, "lower"),
        Column("fid_clf_sd", "over classifiers", 1),
        Column("kid_clf", "KID-clf", 3, "lower"),
        Column("pixel_distance", "kernel distance of pixels", 5, "lower"),
        Column("precision", "precision", 3, "higher"),
        Column("recall", "recall", 3, "higher"),
        Column("novelty", "novelty", 2, "higher"),
        Column("asked", "as asked", 4, "higher"),
        Column("frequency_difference", "largest difference of frequency", 1, "lower", "points"),
        Column("coactivation_correlation", "correlation of pairs", 3, "higher"),
        Column("active_latents", "active latents", 2),
        Column("seconds_fit", "fitting", 0, "lower", "s"),
        Column("seconds_sample", "sampling", 0, "lower", "s"),
    ),
    opening=lambda rows: draw_all(draw_generators(rows)),
    figures=(draw_generated,),
)


def models(classes: int = 10) -> dict[str, dict[str, Any]]:
    """Title -> configuration fields.

    Args:
        classes: of the images, for a model that is given them.

    Examples:
        >>> list(models())[-1]
        'learned threshold'
    """
    trained = trained_models(LATENT_DIM, K)
    element = trained[ELEMENT]
    structures: dict[str, dict[str, Any]] = {
        LADDER: {"model": "ladder_vae", "latent_dim": LATENT_DIM, **LEVELS},
        f"{ELEMENT}, 1024/512": element | LARGE,
        f"{SLOT}, 1024/512": trained[SLOT] | LARGE,
    }
    return (
        {title: trained[title] for title in RULES}
        | structures
        | {t: trained[m] | {"classes": classes} | more for t, (m, more) in WITH_CLASSES.items()}
        | {title: element | changes for title, changes in OBJECTIVES.items()}
        | {title: {"model": name, "latent_dim": LATENT_DIM} for title, name in RIVALS.items()}
    )


class Compared(NamedTuple):
    """Priors whose settings are compared on validation images.

    Attributes:
        model: to whose codes they are fitted.
        priors: title -> prior and what differs from its defaults.
    """

    model: str
    priors: dict[str, tuple[str, dict[str, Any]]]


CHOICES = {
    CHOICE: Compared(
        ELEMENT,
        {
            "flow": ("flow", {}),
            "flow, 5,000 steps": ("flow", {"steps": 5_000}),
            "flow, 20,000 steps": ("flow", {"steps": 20_000}),
            "flow, 20,000 steps, 1 cluster": ("flow", {"steps": 20_000, "clusters": 1}),
            "flow, 20,000 steps, 200 clusters": ("flow", {"steps": 20_000, "clusters": 200}),
            "vamp": ("vamp", {}),
            "vamp, 300 pseudo-codes": ("vamp", {"pseudo_codes": 300}),
            "vamp, 3,000 pseudo-codes": ("vamp", {"pseudo_codes": 3_000}),
            "two_stage": ("two_stage", {}),
            "two_stage, 5,000 steps": ("two_stage", {"steps": 5_000}),
        },
    ),
    CHOICE_BY_SLOT: Compared(
        SLOT,
        {
            "autoregressive": ("autoregressive", {}),
            "autoregressive, 20,000 steps": ("autoregressive", {"steps": 20_000}),
        },
    ),
}


def rows(
    study: Study, part: Part = "final", only: str = "", steps: int | None = None
) -> Iterator[Planned]:
    """The rows of one part whose titles contain `only`, those of one model together.

    Args:
        study: what is trained and measured.
        part: "choice" compares settings, "final" all models and priors.
        only: part of "MODEL: PRIOR".
        steps: of priors that are trained, in place of their own.
    """
    if part == "choice":
        study = study.for_choices
        planned = {
            (variant, title): found
            for variant, compared in CHOICES.items()
            for title, found in compared.priors.items()
        }
        fields = {variant: models()[compared.model] for variant, compared in CHOICES.items()}
    else:
        priors: dict[str, tuple[str, dict[str, Any]]] = {
            name: (name, {}) for name in (FLOOR, OWN, *PRIORS)
        }
        fields = models(study.dataset.num_classes)
        planned = {(m, title): p for m, (title, p) in itertools.product(fields, priors.items())}

    @functools.lru_cache(maxsize=1)
    def floor(config: Config) -> Floor:
        return Floor.of(study, study.train(config).inference)

    for seed, ((model, title), (prior, changes)) in itertools.product(
        study.budget.seeds, planned.items()
    ):
        if only in f"{model}: {title}":
            settings = _settings(prior, changes, steps)
            measure = functools.partial(_measure, study, floor, prior, settings)
            config = study.config(seed=seed, **fields[model])
            yield study.plan_trained(
                LAYOUT.name,
                model,
                title,
                config,
                measure,
                samples=study.budget.samples,
                classifiers=study.budget.classifiers,
                **{f"prior_{name}": value for name, value in settings.items()},
            )


def _settings(prior: str, changes: Mapping[str, Any], steps: int | None) -> dict[str, Any]:
    """All settings of a prior: its defaults and what differs from them."""
    if prior not in PRIORS:
        return {}
    settings = settings_of(prior) | dict(changes)
    return settings | {"steps": steps} if steps and "steps" in settings else settings


def _measure(
    study: Study,
    floor: Callable[[Config], Floor],
    prior: str,
    settings: Mapping[str, Any],
    trained: Trained,
) -> Measurement:
    model = trained.inference
    own = floor(model.config)
    return own.measurement if prior == FLOOR else measure_prior(study, model, own, prior, settings)


def main(
    options: StudyFlags, part: Part = "final", only: str = "", steps: int | None = None
) -> None:
    """Priors of several models on the test images, or their settings on validation images.

    Args:
        options: preset, data and output.
        part: "choice" compares settings, "final" scores what was chosen.
        only: measure only what has this in its "MODEL: PRIOR".
        steps: of training, for priors that are trained, in place of their own; for smoke tests.
    """
    study = options.study()
    if not study.has_labels:
        raise ValueError("data must have labels, with which the classifier that judges is trained")
    planned = list(rows(study, part, only, steps))
    if not planned:
        raise ValueError(f"only must be part of the title of a row, got {only!r}")
    study.measure(planned)
    write_report(options.folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
