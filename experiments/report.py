"""Draws the report from a results file alone.

python -m experiments.report --results DIR
"""

import importlib
from pathlib import Path

from experiments.bench import registry
from experiments.reporting.compose import write_report
from experiments.terminal import cli

# Modules that declare a `LAYOUT`, in reading order.
EXPERIMENTS = (
    "table1",
    "table2",
    "measures.stability",
    "collapse",
    "ablation",
    "supports",
    "classes",
    "levels",
    "generative",
    "compare",
    "rate",
    "likelihood",
    "iwae",
    "stitch",
    "synth.layout",
    "synth.speed",
    "factors.layout",
)
LAYOUTS = (
    *(importlib.import_module(f"experiments.{name}").LAYOUT for name in EXPERIMENTS),
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
