"""The tables of docs/generative.md."""

from dataclasses import replace

from experiments import generative
from experiments.pages.table import PageTable
from experiments.reporting.tables import Column
from experiments.study.lineup import ELEMENT

_COLUMNS = {column.metric: column for column in generative.LAYOUT.columns}
_MEASURED = (
    *("fid_clf", "fid_over_floor", "kid_clf", "precision", "recall"),
    *("frequency_difference", "coactivation_correlation", "active_latents"),
)


def _measured(variant: str, corner: str) -> PageTable:
    columns = [(variant, _COLUMNS[metric]) for metric in _MEASURED]
    return PageTable("generative", generative.LAYOUT.name, columns, corner)


def _of_all_models() -> list[tuple[str, Column]]:
    fid = _COLUMNS["fid_clf"]
    return [(model, replace(fid, title=model)) for model in generative.models()]


TABLES = {
    "priors-choice": _measured(generative.CHOICE, "by element, 5,000 validation images"),
    "priors": _measured(ELEMENT, "by element, test images"),
    "priors-models": PageTable(
        "generative", generative.LAYOUT.name, _of_all_models(), "FID-clf, test images"
    ),
}
