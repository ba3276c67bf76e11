"""The tables of docs/generative.md."""

from collections.abc import Iterable
from dataclasses import replace

from experiments import generative
from experiments.pages.table import PageTable
from experiments.study.lineup import ELEMENT

_COLUMNS = {column.metric: column for column in generative.LAYOUT.columns}
_OTHERS = (*generative.OBJECTIVES, *generative.RIVALS)
_MEASURED = (
    *("fid_clf", "fid_over_floor", "kid_clf", "precision", "recall"),
    *("frequency_difference", "coactivation_correlation", "active_latents"),
)


def _measured(variant: str, corner: str, *more: str) -> PageTable:
    columns = [(variant, _COLUMNS[metric]) for metric in (*_MEASURED, *more)]
    return PageTable("generative", generative.LAYOUT.name, columns, corner)


def _of(models: Iterable[str], metric: str = "fid_clf") -> PageTable:
    """One metric of every prior, a column for each model."""
    found = _COLUMNS[metric]
    columns = [(model, replace(found, title=model)) for model in models]
    corner = f"{found.title}, test images"
    return PageTable("generative", generative.LAYOUT.name, columns, corner)


TABLES = {
    "priors-choice": _measured(generative.CHOICE, "by element, 5,000 validation images"),
    "priors-choice-by-slot": _measured(
        generative.CHOICE_BY_SLOT, "by slot, 5,000 validation images", "novelty"
    ),
    "priors": _measured(ELEMENT, "by element, test images"),
    "priors-rules": _of(generative.RULES),
    "priors-structures": _of(
        title
        for title in generative.models()
        if title not in (*generative.RULES, *_OTHERS, *generative.WITH_CLASSES)
    ),
    "priors-objectives": _of(_OTHERS),
    "priors-classes": _of(generative.WITH_CLASSES),
    "priors-classes-asked": _of(generative.WITH_CLASSES, "asked"),
}
