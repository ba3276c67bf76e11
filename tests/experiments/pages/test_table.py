"""Tables of the pages, of rows that may stand side by side."""

import dataclasses

import pytest

from experiments.pages import table
from experiments.pages.table import PageTable
from experiments.reporting.tables import Column
from tests.helpers.report_rows import make_row

PSNR = Column("psnr", "PSNR", 2, "higher", "dB")


def test_models_trained_for_other_numbers_of_epochs_never_stand_side_by_side(monkeypatch):
    def trained(variant, model, epochs):
        row = make_row("compare", variant, model, 0, {"psnr": 18.0 + epochs})
        return dataclasses.replace(row, config={"epochs": epochs})

    rows = [trained("v", "a", 2), trained("v", "b", 10), trained("w", "c", 10)]
    rows.append(make_row("compare", "v", "PCA", None, {"psnr": 14.0}))
    monkeypatch.setattr(table, "rows_of", lambda folder: rows)
    page_table = PageTable("results", "compare", [("v", PSNR)])
    with pytest.raises(ValueError, match="results of results, v: rows of 2 and 10 epochs side by"):
        page_table.markdown({})
    del rows[1]
    assert page_table.markdown({}).splitlines()[2:] == ["| a | 20.00 |", "| PCA | 14.00 |"]
