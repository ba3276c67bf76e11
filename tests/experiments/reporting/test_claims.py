"""The paper's claims and their verdicts."""

import pytest

from experiments.records.intervals import paired_difference
from experiments.reporting.claims import FAILS, OPEN, REPLICATES, claims, claims_table
from experiments.reporting.tables import Cell
from experiments.study.lineup import by_likelihood
from tests.helpers.report_rows import ALL, DEFAULT, SEEDS, TOP_K, make_row, rows_of, table1


def test_verdicts_follow_the_interval():
    findings = {finding.claim.metric: finding for finding in claims(rows_of(*ALL))}
    assert {metric: finding.verdict for metric, finding in findings.items()} == {
        "fid_clf_prior": REPLICATES,
        "fid_clf_mixture": OPEN,
        "psnr": REPLICATES,
        "ssim": REPLICATES,
        "accuracy_0.3": REPLICATES,
        "accuracy_0.5": REPLICATES,
        "accuracy_0.7": REPLICATES,
    }
    difference = findings["psnr"].difference
    assert findings["psnr"].figures == f"{difference.mean:+.2f} ± {difference.half_width:.2f} dB"


def test_a_difference_is_paired_by_seed():
    rows = rows_of(table1)
    top_k, beta = ([row for row in rows if row.model == name] for name in (TOP_K, "beta-VAE"))
    (finding,) = [f for f in claims(rows) if f.claim.metric == "psnr"]
    assert finding.difference == paired_difference(top_k, beta, "psnr")


@pytest.mark.parametrize(("gap", "verdict"), [(-0.02, REPLICATES), (-0.2, FAILS), (0.1, FAILS)])
def test_slightly_less_accurate_has_two_ends(gap, verdict):
    rows = [
        make_row("table2", "v", model, seed, {"accuracy_0.3": accuracy})
        for model, accuracy in (("beta-VAE", 0.5), (DEFAULT, 0.5 + gap))
        for seed in SEEDS
    ]
    assert [finding.verdict for finding in claims(rows)] == [verdict]


def test_a_row_by_likelihood_is_compared_with_the_dense_model_by_likelihood():
    accuracies = {"beta-VAE": 0.2, by_likelihood("beta-VAE"): 0.8, by_likelihood(DEFAULT): 0.7}
    rows = [
        make_row("table2", "v", model, seed, {"accuracy_0.7": accuracy})
        for model, accuracy in accuracies.items()
        for seed in SEEDS
    ]
    (finding,) = claims(rows)
    assert finding.difference.mean == pytest.approx(-0.1)
    assert claims(row for row in rows if row.model != by_likelihood("beta-VAE")) == []


def test_one_table_holds_every_claim_with_its_verdict():
    table = claims_table(claims(rows_of(*ALL)))
    assert table.header == ["claim", TOP_K, DEFAULT]
    assert [line[0].note for line in table.body] == 4 * ["averaged KL"] + 3 * ["trained to denoise"]
    mixture, last = table.body[1], table.body[-1]
    assert mixture[2] == last[1] == Cell("")
    assert (mixture[1].note, mixture[1].tone) == (OPEN, "")
    assert last[2] == Cell("+0.1000 ± 0.0000", note=REPLICATES, tone="good")


def test_one_seed_is_inconclusive_and_no_cell_repeats_it():
    findings = claims(rows_of(*ALL, seeds=[0]))
    assert {finding.verdict for finding in findings} == {OPEN}
    cells = [cell for line in claims_table(findings).body for cell in line[1:]]
    assert {cell.note for cell in cells} == {""}
