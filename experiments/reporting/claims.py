"""The paper's claims, each held against the paired difference to the beta-VAE."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from experiments.records.grouping import by_model
from experiments.records.intervals import Summary, paired_difference
from experiments.records.rows import Row
from experiments.reporting.columns import ACCURACY, GENERATION, QUALITY
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE

REPLICATES = "replicates"
FAILS = "does not replicate"
OPEN = "inconclusive"

SLIGHTLY = 0.05  # the paper's own accuracies differ by 0.013 and 0.016


class Claim(NamedTuple):
    """Top-K minus beta-VAE lies between `low` and `high` for every one of the metrics."""

    text: str
    experiment: str
    columns: tuple[Column, ...]
    low: float = -math.inf
    high: float = math.inf


_COLUMNS = {column.metric: column for column in (*QUALITY, *GENERATION, *ACCURACY)}


def _columns(*metrics: str) -> tuple[Column, ...]:
    return tuple(_COLUMNS[metric] for metric in metrics)


CLAIMS = (
    Claim(
        "Top-K generates better: lower FID, codes drawn from the prior",
        "table1",
        _columns("fid_clf_prior"),
        high=0,
    ),
    Claim(
        "Top-K generates better: lower FID, codes drawn from the mixture",
        "table1",
        _columns("fid_clf_mixture"),
        high=0,
    ),
    Claim(
        "Top-K reconstructs worse: lower PSNR and SSIM",
        "table1",
        _columns("psnr", "ssim"),
        high=0,
    ),
    Claim(
        f"At sigma 0.3 and 0.5 Top-K is slightly less accurate (by less than {SLIGHTLY})",
        "table2",
        _columns("accuracy_0.3", "accuracy_0.5"),
        low=-SLIGHTLY,
        high=0,
    ),
    Claim("At sigma 0.7 Top-K is more accurate", "table2", _columns("accuracy_0.7"), low=0),
)


class Finding(NamedTuple):
    claim: Claim
    variant: str
    model: str
    verdict: str
    sentence: str


def claims(rows: Iterable[Row]) -> list[Finding]:
    """One finding for every claim, variant and Top-K model that was measured."""
    rows = list(rows)
    findings = []
    for claim in CLAIMS:
        inside = [row for row in rows if row.experiment == claim.experiment]
        for variant in dict.fromkeys(row.variant for row in inside):
            models = by_model(row for row in inside if row.variant == variant)
            baseline = models.get(BASELINE, [])
            for model, candidates in models.items():
                if model.startswith("Top-K"):
                    finding = _finding(claim, variant, model, candidates, baseline)
                    findings += [finding] if finding else []
    return findings


def _finding(
    claim: Claim, variant: str, model: str, candidates: list[Row], baseline: list[Row]
) -> Finding | None:
    found = [paired_difference(candidates, baseline, c.metric) for c in claim.columns]
    differences = [difference for difference in found if difference]
    if len(differences) < len(claim.columns):
        return None
    verdicts = {_verdict(difference, claim) for difference in differences}
    verdict = next(v for v in (FAILS, OPEN, REPLICATES) if v in verdicts)
    figures = "; ".join(
        f"{column.title}: {column.format(difference, signed=True)} {column.unit}".rstrip()
        for column, difference in zip(claim.columns, differences, strict=True)
    )
    seeds = min(difference.n for difference in differences)
    counted = "one seed" if seeds == 1 else f"{seeds} seeds"
    sentence = (
        f"{verdict.capitalize()} ({counted}) for {model} ({variant}): {figures} against {BASELINE}."
    )
    return Finding(claim, variant, model, verdict, sentence)


def _verdict(difference: Summary, claim: Claim) -> str:
    mean, half_width, _ = difference
    if half_width is None:
        return OPEN
    low, high = mean - half_width, mean + half_width
    if claim.low < low and high < claim.high:
        return REPLICATES
    return FAILS if high <= claim.low or low >= claim.high else OPEN
