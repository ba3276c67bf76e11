"""Draws the report from a results file alone.

python -m experiments.report --results DIR
"""

from pathlib import Path

from experiments import ablation, collapse, compare, likelihood, rate, stitch, table1, table2
from experiments.bench import registry
from experiments.measures import stability
from experiments.reporting.compose import write_report
from experiments.terminal import cli

LAYOUTS = (
    table1.LAYOUT,
    table2.LAYOUT,
    stability.LAYOUT,
    collapse.LAYOUT,
    ablation.LAYOUT,
    compare.LAYOUT,
    rate.LAYOUT,
    likelihood.LAYOUT,
    stitch.LAYOUT,
    *registry.LAYOUTS,
)


def main(results: Path, out: Path | None = None) -> None:
    """Draws the report.

    Args:
        results: the results file, or the directory that holds it.
        out: where to write; beside the results if not given.
    """
    write_report(results, LAYOUTS, out)


if __name__ == "__main__":
    cli.run(main)
