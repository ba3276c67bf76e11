"""The paper's claims, each held against the paired difference to the beta-VAE."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from experiments.records.grouping import by_model, by_variant
from experiments.records.intervals import Summary, paired_difference
from experiments.records.rows import Row
from experiments.reporting.columns import column_of
from experiments.reporting.tables import Cell, Column, Table, Tone
from experiments.study.lineup import BASELINE, LIKELIHOOD, by_likelihood

REPLICATES = "replicates"
FAILS = "does not replicate"
OPEN = "inconclusive"
VERDICTS = (
    f"A claim {REPLICATES} where the 95 % interval of the difference to the {BASELINE} lies inside "
    f"what it says, {FAILS} where it lies outside, and is {OPEN} where it reaches over the end. "
    f"Rows{LIKELIHOOD} are compared with the {BASELINE}{LIKELIHOOD}. "
    "Intervals are not corrected for the number of comparisons."
)
_TONES: dict[str, Tone] = {REPLICATES: "good", FAILS: "bad", OPEN: ""}

SLIGHTLY = 0.05  # the paper's own accuracies differ by 0.013 and 0.016


class Claim(NamedTuple):
    """Top-K minus beta-VAE lies between `low` and `high`.

    Attributes:
        text: the claim in words.
        experiment: whose rows are looked at.
        metric: of which the difference is taken.
        low, high: the ends between which it lies if the claim is right.
    """

    text: str
    experiment: str
    metric: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def column(self) -> Column:
        """How the metric is printed."""
        return column_of(self.metric)

    def verdict(self, difference: Summary) -> str:
        """Whether the 95 % interval lies inside the claim, outside, or reaches over an end of it.

        Examples:
            >>> claim = Claim("Top-K reconstructs worse", "table1", "psnr", high=0)
            >>> claim.verdict(Summary(-4.6, 0.9, n=5)), claim.verdict(Summary(-4.6, None, n=1))
            ('replicates', 'inconclusive')
        """
        if difference.interval is None:
            return OPEN
        low, high = difference.interval
        if self.low < low and high < self.high:
            return REPLICATES
        return FAILS if high <= self.low or low >= self.high else OPEN


CLAIMS = (
    Claim("Generates better: FID-clf lower, prior", "table1", "fid_clf_prior", high=0),
    Claim("Generates better: FID-clf lower, mixture", "table1", "fid_clf_mixture", high=0),
    Claim("Reconstructs worse: PSNR lower", "table1", "psnr", high=0),
    Claim("Reconstructs worse: SSIM lower", "table1", "ssim", high=0),
    *(
        Claim(
            f"Slightly less accurate at sigma {sigma} (by less than {SLIGHTLY})",
            "table2",
            f"accuracy_{sigma}",
            low=-SLIGHTLY,
            high=0,
        )
        for sigma in (0.3, 0.5)
    ),
    Claim("More accurate at sigma 0.7", "table2", "accuracy_0.7", low=0),
)


class Finding(NamedTuple):
    """What was measured of one claim for one Top-K model.

    Attributes:
        claim: the claim.
        variant: of the experiment.
        model: the Top-K model.
        difference: to the beta-VAE, over the seeds that both have.
        verdict: `REPLICATES`, `FAILS` or `OPEN`.
    """

    claim: Claim
    variant: str
    model: str
    difference: Summary
    verdict: str

    @property
    def figures(self) -> str:
        """The difference with its interval and unit."""
        column = self.claim.column
        return f"{column.format(self.difference, signed=True)} {column.unit}".rstrip()


def claims(rows: Iterable[Row]) -> list[Finding]:
    """One finding for every claim, variant and Top-K model that was measured, in this order."""
    rows = list(rows)
    return [finding for claim in CLAIMS for finding in _findings(claim, rows)]


def _findings(claim: Claim, rows: Iterable[Row]) -> Iterator[Finding]:
    inside = by_variant(row for row in rows if row.experiment == claim.experiment)
    for variant, same in inside.items():
        models = by_model(same)
        for model, candidates in models.items():
            rival = by_likelihood(BASELINE) if model.endswith(LIKELIHOOD) else BASELINE
            difference = paired_difference(candidates, models.get(rival, []), claim.metric)
            if model.startswith("Top-K") and difference:
                yield Finding(claim, variant, model, difference, claim.verdict(difference))


def claims_table(findings: Sequence[Finding]) -> Table:
    """Claims down, models across, the difference and the verdict in the cells.

    The verdict is left out where every difference is of one seed: all are inconclusive then.
    """
    models = list(dict.fromkeys(finding.model for finding in findings))
    found = {(f.claim, f.variant, f.model): f for f in findings}
    several_seeds = any(finding.difference.n > 1 for finding in findings)

    def cell(finding: Finding | None) -> Cell:
        if finding is None:
            return Cell("")
        if not several_seeds:
            return Cell(finding.figures)
        return Cell(finding.figures, note=finding.verdict, tone=_TONES[finding.verdict])

    body = [
        [Cell(claim.text, note=variant), *(cell(found.get((claim, variant, m))) for m in models)]
        for claim, variant in dict.fromkeys((f.claim, f.variant) for f in findings)
    ]
    return Table(f"Difference to {BASELINE}", ["claim", *models], body)
