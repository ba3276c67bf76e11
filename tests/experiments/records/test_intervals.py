"""Intervals over seeds, against those of scipy."""

import numpy as np
import pytest
from scipy import stats

from experiments.records.intervals import Summary, paired_difference, summarise
from experiments.records.rows import Row


def make_row(seed=0, metrics=None, config=None):
    return Row(
        experiment="table1",
        variant="averaged KL",
        model="beta-VAE",
        config=config or {},
        seed=seed,
        data={},
        metrics=metrics or {"psnr": 24.5},
        seconds=1.5,
    )


def assert_interval(summary: Summary | None, ends, n):
    assert summary is not None
    assert summary.half_width is not None
    low, high = summary.mean - summary.half_width, summary.mean + summary.half_width
    np.testing.assert_allclose([low, high], ends)
    assert summary.n == n


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_is_that_of_student(n):
    values = np.random.default_rng(n).normal(20, 3, n)
    rows = [make_row(seed=seed, metrics={"psnr": value}) for seed, value in enumerate(values)]
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert_interval(summarise(rows, "psnr"), expected, n)


def test_one_seed_has_no_interval_and_no_row_no_summary():
    assert summarise([make_row()], "psnr") == Summary(24.5, None, 1)
    assert summarise([make_row()], "ssim") is None


def test_two_rows_with_one_seed_are_refused():
    with pytest.raises(ValueError, match="two rows of beta-VAE with psnr and seed 0"):
        summarise([make_row(), make_row(config={})], "psnr")


def test_the_paired_difference_is_over_shared_seeds():
    def rows(values):
        return [make_row(seed=seed, metrics={"psnr": v}) for seed, v in values.items()]

    a, b = rows({0: 5.0, 1: 7.0, 2: 6.5, 9: 99.0}), rows({2: 5.0, 1: 6.0, 0: 4.5, 8: -99.0})
    expected = stats.ttest_rel([5.0, 7.0, 6.5], [4.5, 6.0, 5.0]).confidence_interval(0.95)
    assert_interval(paired_difference(a, b, "psnr"), expected, 3)
    assert paired_difference(rows({0: 1.0}), rows({1: 1.0}), "psnr") is None
