"""The banner: what was run, and what it leaves out."""

import dataclasses
import re

import pytest

from experiments.reporting.protocol import banner, read_protocol
from experiments.study.budget import PRESETS
from experiments.table1 import LAYOUT
from tests.helpers.report_rows import make_row

IMAGES = 60_000


def rows_of_preset(name: str, **changes):
    """The rows of Table 1 under a preset, without what they measured."""
    budget = dataclasses.replace(PRESETS[name], **changes)
    images = budget.train_images or IMAGES
    variants = LAYOUT.variants[: len(budget.variants)]
    for seed in budget.seeds:
        for variant in variants:
            for model in LAYOUT.models:
                row = make_row(LAYOUT.name, variant, model, seed, {})
                config = {"epochs": budget.training.over(images), "samples": budget.samples}
                data = row.data | {"train": images}
                yield dataclasses.replace(row, config=config, data=data)


@pytest.mark.parametrize("name", PRESETS)
def test_the_preset_is_read_from_the_rows(name):
    assert read_protocol(rows_of_preset(name)).preset == name


def test_the_preset_that_the_environment_names_comes_first():
    shown = [(LAYOUT, [*rows_of_preset("quick")])]
    assert banner(shown, {"preset": "mine"}).title.startswith("mine: ")


def test_only_the_papers_tables_are_named_after_a_preset():
    shown = [(dataclasses.replace(LAYOUT, paper=None), [*rows_of_preset("quick")])]
    title, _ = banner(shown, {})
    assert re.match(r"\d+ epochs, 1 seed, 60,000 training images$", title)


def test_a_quick_run_is_called_quick_and_names_what_is_missing():
    rows = [*rows_of_preset("quick", variants=("mean",))]
    title, lines = banner([(LAYOUT, rows)], {})
    epochs = rows[0].config["epochs"]
    assert title.startswith(f"quick: {epochs} epochs, 1 seed, 60,000 training images")
    assert title.endswith("not the paper's protocol")
    missing = next(line for line in lines if line.startswith("Left out: "))
    assert f"{LAYOUT.variants[1]} (Table 1)" in missing
    assert f"{len(PRESETS['paper'].seeds) - 1} of {len(PRESETS['paper'].seeds)} seeds" in missing
    assert lines[-1].endswith("python -m experiments.table1 --preset paper")


def test_a_missing_model_is_named():
    rows = [row for row in rows_of_preset("paper") if row.model != LAYOUT.models[-1]]
    _, lines = banner([(LAYOUT, rows)], {})
    assert lines[0] == f"Left out: {LAYOUT.models[-1]} (Table 1)."


def test_the_full_protocol_lacks_nothing():
    title, lines = banner([(LAYOUT, [*rows_of_preset("paper")])], {})
    budget = PRESETS["paper"]
    epochs, seeds = budget.training.over(IMAGES), len(budget.seeds)
    assert title == f"paper: {epochs} epochs, {seeds} seeds, 60,000 training images"
    assert lines == []


def test_without_a_trained_model_there_is_no_banner():
    assert banner([(LAYOUT, [make_row("table1", "", "PCA", None, {})])], {}) is None
