"""What a preset leaves out."""

import dataclasses

from experiments import reproduce
from experiments.study.budget import PRESETS
from experiments.study.left_out import left_out
from experiments.study.lineup import BASELINE, FIXED


def test_a_smaller_budget_names_what_it_leaves_out_and_the_full_one_nothing(study):
    full = dataclasses.replace(study, budget=PRESETS["paper"])
    all_rows = list(reproduce.rows(full))
    smaller = dataclasses.replace(full.budget, seeds=(0, 1), variants=("sum",), table2=(BASELINE,))
    rows = list(reproduce.rows(dataclasses.replace(study, budget=smaller)))
    found = left_out(rows, smaller, all_rows, full.budget)
    assert found[:3] == ["3 of 5 seeds", "table1: averaged KL", "stability: averaged KL"]
    (table2,) = found[3:]
    assert table2.startswith("table2: ")
    assert FIXED in table2
    assert BASELINE not in table2
    assert left_out(all_rows, full.budget, all_rows, full.budget) == []
