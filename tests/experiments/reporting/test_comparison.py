"""A report of runs says in what they differ, and plots over it."""

import dataclasses

import pytest

from experiments.records.rows import write_results
from experiments.reporting import comparison
from experiments.reporting.comparison import numeric_setting
from experiments.reporting.compose import write_report
from tests.helpers.report_rows import make_row


def run(name, config, **metrics):
    row = make_row(comparison.NAME, "", name, config.get("seed"), metrics)
    return dataclasses.replace(row, config=config)


def report(tmp_path, *rows):
    write_results(tmp_path, rows, {})
    return write_report(tmp_path, [])[0].read_text()


def test_a_sweep_is_titled_compared_and_plotted(tmp_path):
    rows = [run(f"k{k}", {"k": k, "beta": 1}, psnr=20 + k, dead=k) for k in (2, 4)]
    text = report(tmp_path, *rows)
    assert text.startswith("# Comparison of 2 runs\n")
    assert "| run | k |\n| --- | ---: |\n| k2 | 2 |\n| k4 | 4 |" in text
    assert "| model | PSNR, dB\u00a0↑ | dead |" in text
    assert "| k4 | **24.00** | 4 |" in text
    assert "](figures/runs-over-k.png)" in text
    assert (tmp_path / "figures" / "runs-over-k.png").is_file()


def test_runs_that_differ_in_more_are_not_plotted(tmp_path):
    text = report(tmp_path, run("a", {"k": 2, "beta": 1}, psnr=1), run("b", {"k": 4}, psnr=2))
    assert "2 runs, which differ in k, beta." in text
    assert "figures/" not in text


@pytest.mark.parametrize("values", [("a", "b"), (True, False), ([1], [2]), (None, 2)])
def test_only_a_number_is_an_axis(values):
    assert numeric_setting([{"x": value, "seed": n} for n, value in enumerate(values)]) == ""
