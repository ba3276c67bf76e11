"""Do dictionaries find the features that vectors are made of? Ours and those of other libraries.

    python -m experiments.synth --preset small
    python -m experiments.synth --preset small --only BatchTopK --seeds 0

The vectors are those of SynthSAEBench, drawn on the device while a dictionary is trained. Peers
(sae_lens, dictionary_learning) need the extra `bench`; without it their rows are left out. A row
that is in `--out` already is not measured again.
"""

from pathlib import Path
from typing import Literal

import jax

from experiments.records.rows import ResultsFile
from experiments.reporting.compose import write_report
from experiments.study.bar import RowsBar
from experiments.study.options import check_seeds
from experiments.study.study import measure_rows
from experiments.synth.layout import LAYOUT
from experiments.synth.presets import PRESETS
from experiments.synth.rows import Rows
from experiments.terminal import cli
from vae_topk_jax.synthetic import make_ground_truth


def main(
    preset: Literal["tiny", "small", "16k"] = "small",
    out: Path | None = None,
    only: str = "",
    seeds: tuple[int, ...] | None = None,
) -> None:
    """Trains and measures dictionaries, and writes the report.

    Args:
        preset: "tiny" is for smoke tests; "small" has 1,024 features in 96 dimensions, and takes
            minutes a row on two CPU cores; "16k" is the published setting, for an accelerator.
        out: folder of results.json and the report; runs/synth-PRESET if not given.
        only: trains the rows whose title contains this.
        seeds: instead of the preset's.
    """
    sizes = PRESETS[preset]
    if seeds is not None:
        sizes = sizes._replace(seeds=check_seeds(seeds))
    folder = out or Path(f"runs/synth-{preset}")
    truth = make_ground_truth(jax.random.key(0), sizes.setting)
    results = ResultsFile(folder)
    rows = Rows(preset, sizes, truth, folder / "directions").all(only, results.has)
    if not rows:
        raise ValueError(f"only must be part of the title of a row, got {only!r}")
    measure_rows(rows, results, RowsBar(), shown_seed=sizes.seeds[0])
    write_report(folder, [LAYOUT])


if __name__ == "__main__":
    cli.run(main)
