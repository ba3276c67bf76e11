"""The tables of docs/generative.md."""

from collections.abc import Iterable
from dataclasses import replace

from experiments import generative
from experiments.pages.table import PageTable
from experiments.study.lineup import ELEMENT

_COLUMNS = {column.metric: column for column in generative.LAYOUT.columns}
_OTHERS = (*generative.OBJECTIVES, *generative.RIVALS)
_CLASSES = {
    generative.CLASSES: "KL summed",
    generative.CLASSES_AVERAGED: "averaged",
    generative.CLASSES_LARGE: "1024/512",
}
_MEASURED = (
    *("fid_clf", "fid_over_floor", "kid_clf", "precision", "recall"),
    *("frequency_difference", "coactivation_correlation", "active_latents"),
)


def _measured(variant: str, corner: str, *more: str) -> PageTable:
    columns = [(variant, _COLUMNS[metric]) for metric in (*_MEASURED, *more)]
    return PageTable("generative", generative.LAYOUT.name, columns, corner)


def _of(models: Iterable[str]) -> PageTable:
    """FID-clf of every prior, a column for each model."""
    fid = _COLUMNS["fid_clf"]
    columns = [(model, replace(fid, title=model)) for model in models]
    return PageTable("generative", generative.LAYOUT.name, columns, "FID-clf, test images")


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
        if title not in (*generative.RULES, *_OTHERS, *_CLASSES)
    ),
    "priors-objectives": _of(_OTHERS),
    "priors-classes": PageTable(
        "generative",
        generative.LAYOUT.name,
        [
            (model, replace(column, title=f"{column.title}, {remark}"))
            for model, remark in _CLASSES.items()
            for column in map(_COLUMNS.__getitem__, ("asked", "fid_clf", "fid_over_floor"))
        ],
        "by element, classes, test images",
    ),
}
