"""Draws the report from a results file alone.

python -m experiments.report --results DIR
"""

from pathlib import Path

from experiments.reporting.compose import write_report
from experiments.terminal import cli


def main(results: Path, out: Path | None = None) -> None:
    """Draws the report.

    Args:
        results: the results file, or the directory that holds it.
        out: where to write; beside the results if not given.
    """
    print("\n".join(map(str, write_report(results, out))))


if __name__ == "__main__":
    cli.run(main)
