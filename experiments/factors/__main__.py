"""Which latent moves with which factor? Sparse and dense latents on sprites of known factors.

    python -m experiments.factors --preset small
    python -m experiments.factors --preset small --seeds 0 --only Top-K
    python -m experiments.factors --preset small --data sprites:side=16,x=16,correlated=x:y:0.2

Nothing is downloaded. A row that is in `--out` already is not measured again.
"""

from pathlib import Path
from typing import Literal

from experiments.factors.layout import LAYOUT
from experiments.factors.presets import PRESETS
from experiments.factors.rows import rows
from experiments.records.rows import ResultsFile
from experiments.reporting.compose import write_report
from experiments.study.options import check_seeds
from experiments.study.study import Study
from experiments.terminal import cli
from vae_topk_jax.data import DataOptions, load_dataset


def main(
    preset: Literal["tiny", "small"] = "small",
    data: str | None = None,
    out: Path | None = None,
    only: str = "",
    seeds: tuple[int, ...] | None = None,
) -> None:
    """Trains and measures models of sprites, and writes the report.

    Args:
        preset: "tiny" is for smoke tests; "small" takes about half a minute a row on one CPU core.
        data: instead of the preset's sprites: any set with known factors (docs/data.md).
        out: folder of results.json and the report; runs/factors-PRESET if not given.
        only: trains the rows whose title contains this.
        seeds: instead of the preset's.
    """
    sizes = PRESETS[preset]
    if seeds is not None:
        sizes = sizes._replace(seeds=check_seeds(seeds))
    spec = data or sizes.data
    folder = out or Path(f"runs/factors-{preset}")
    options = DataOptions(test_fraction=sizes.test_fraction)
    study = Study(load_dataset(spec, options), sizes.budget, ResultsFile(folder))
    planned = list(rows(study, sizes, spec, only))
    if not planned:
        raise ValueError(f"only must be part of the title of a row, got {only!r}")
    study.measure(planned)
    write_report(folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
