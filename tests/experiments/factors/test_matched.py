"""Models beside the beta-VAE of equal PSNR."""

import numpy as np
import pytest

from experiments.factors.layout import LAYOUT, SCORES
from experiments.factors.matched import at_equal_psnr, matched_table
from experiments.records.rows import Row
from tests.helpers.report_rows import make_row

MIG = SCORES[0]


def row(model: str, seed: int, psnr: float, mig: float) -> Row:
    return make_row("factors", "sprites", model, seed, {"psnr": psnr, "mig": mig})


@pytest.fixture
def curve() -> list[Row]:
    """MIG is (30 - PSNR) / 100 on seed 0 and 0.05 above it on seed 1, at three betas."""
    return [
        row(f"beta-VAE, beta {beta}", seed, psnr, (30 - psnr) / 100 + 0.05 * seed)
        for seed in (0, 1)
        for beta, psnr in ((1, 30.0), (4, 22.0), (16, 20.0))
    ]


def test_each_seed_stands_beside_the_curve_of_its_own(curve):
    rows = [*curve, row("Top-K", 0, 26.0, 0.14), row("Top-K", 1, 21.0, 0.24)]
    found = at_equal_psnr(rows, "mig")
    assert list(found) == ["Top-K"]
    difference = found["Top-K"].difference
    assert difference.mean == pytest.approx(0.1)
    assert difference.half_width == pytest.approx(0, abs=1e-9)
    assert difference.n == found["Top-K"].inside == 2


def test_what_reconstructs_like_no_beta_vae_is_left_out(curve):
    rows = [*curve, row("Top-K", 0, 19.0, 0.9), row("Top-K", 1, 25.0, 0.2)]
    found = at_equal_psnr(rows, "mig")["Top-K"]
    assert (found.seeds, found.inside, found.difference.n) == (2, 1, 1)
    assert found.difference.mean == pytest.approx(0.1)
    neither = at_equal_psnr([*curve, row("Top-K", 2, 25.0, 0.2)], "mig")["Top-K"]
    assert (neither.difference, neither.inside) == (None, 0)
    assert at_equal_psnr([*curve[:1], row("Top-K", 0, 30.0, 0.2)], "mig")["Top-K"].inside == 0


def test_what_has_no_seed_or_no_psnr_has_no_place(curve):
    untrained = make_row("factors", "sprites", "untrained encoder", 0, {"mig": 0.1})
    assert at_equal_psnr([*curve, untrained, row("PCA", None, 25.0, 0.1)], "mig") == {}


def test_bold_is_what_leaves_out_zero(curve):
    noise = [0.0, 0.001]
    rows = [
        *curve,
        *(row("better", seed, 26.0, 0.2 + 0.05 * seed + noise[seed]) for seed in (0, 1)),
        *(row("alike", seed, 26.0, 0.04 + 0.1 * seed) for seed in (0, 1)),
    ]
    table = matched_table(rows, [MIG])
    assert table.header == ["model", "seeds on the curve", MIG.heading]
    better, alike = table.body
    assert [cell.text for cell in better] == ["better", "2 of 2", "+0.161 ± 0.006"]
    assert better[2].strong
    assert not alike[2].strong
    (shown,) = LAYOUT.opening(rows)
    assert shown.title == "Minus the beta-VAE at equal PSNR: sprites"
    assert list(LAYOUT.opening(curve)) == []


def test_the_interval_is_that_of_the_differences():
    rng = np.random.default_rng(0)
    rows, gaps = [], rng.normal(0.1, 0.02, 5)
    for seed, gap in enumerate(gaps):
        rows += [row("beta-VAE, beta 1", seed, 30.0, 0.1), row("beta-VAE, beta 4", seed, 20.0, 0.3)]
        rows.append(row("Top-K", seed, 25.0, 0.2 + gap))
    difference = at_equal_psnr(rows, "mig")["Top-K"].difference
    assert difference.mean == pytest.approx(gaps.mean())
    assert difference.half_width == pytest.approx(2.7764 * gaps.std(ddof=1) / 5**0.5, rel=1e-3)
