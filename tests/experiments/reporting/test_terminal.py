"""The tables and the verdicts that a reproduction ends with."""

from collections.abc import Sequence

from rich.console import Console

from experiments import table1, table2
from experiments.records.rows import Row
from experiments.reporting.claims import CLAIMS
from experiments.reporting.terminal import summary
from experiments.study.lineup import BASELINE, ELEMENT, MEAN_ABS_Z

NOISE = (0.1, -0.2, 0.3)


def rows(model: str, psnr: float, seeds: Sequence[int]) -> list[Row]:
    return [
        Row(
            experiment="table1",
            variant="averaged KL",
            model=model,
            config={},
            seed=seed,
            data={"source": "synthetic", "train": 64, "test": 16},
            metrics={"psnr": psnr + NOISE[seed] * (1 if model == BASELINE else -1), "loss": 1234},
            seconds=1.0,
        )
        for seed in seeds
    ]


def lines(measured: Sequence[Row]) -> list[str]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(summary(measured, [table1.LAYOUT, table2.LAYOUT]))
    return [line.strip() for line in capture.get().splitlines()]


def line_of(name: str, found: list[str]) -> list[str]:
    return next(line.removeprefix(name).split() for line in found if line.startswith(name))


def test_the_papers_figures_stand_below_ours_in_the_same_columns():
    found = lines([*rows(BASELINE, 24.0, [0]), *rows(ELEMENT, 19.0, [0])])
    (ours,) = (line for line in found if "24.10" in line)
    (papers,) = (line for line in found if "21.54" in line)
    assert ours.startswith(BASELINE)
    assert papers.startswith(BASELINE)
    assert ours.index("24.10") == papers.index("21.54")
    assert "1234" not in " ".join(found)
    assert table1.LAYOUT.title in found
    assert table2.LAYOUT.title in found


def test_each_claim_has_one_line_with_its_verdict():
    claim = next(claim.text for claim in CLAIMS if claim.metric == "psnr")
    one_seed = lines([*rows(BASELINE, 24.0, [0]), *rows(ELEMENT, 19.0, [0])])
    assert line_of(claim, one_seed) == ["needs", "more", "seeds"]
    seeds = range(3)
    baseline, worse = rows(BASELINE, 24.0, seeds), rows(ELEMENT, 19.0, seeds)
    assert line_of(claim, lines([*baseline, *worse])) == ["replicates"]
    better = rows(MEAN_ABS_Z, 29.0, seeds)
    both = " ".join(line_of(claim, lines([*baseline, *worse, *better])))
    assert both == "replicates: 1 of 2; does not: 1 of 2"
