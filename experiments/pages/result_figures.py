"""Draws the pictures of docs/ that show committed results.

    python -m experiments.pages.result_figures

A minute; without measuring anything.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib

from experiments.pages import known_factors
from experiments.pages.table import check_epochs, rows_of
from experiments.records.rows import Row
from experiments.reporting.figures.fronts import draw_fronts
from experiments.reporting.figures.generators import draw_best_samples, draw_generators
from experiments.reporting.figures.rate_distortion import draw_curve
from experiments.reporting.figures.stitching import draw_stitching
from experiments.reporting.figures.strips import draw_reconstructions
from experiments.reporting.figures.style import STYLE, Drawing
from experiments.reporting.figures.training_curves import plot_importance
from experiments.study.lineup import DIMENSION, ELEMENT, MEAN_ABS_Z
from experiments.terminal import cli
from vae_topk_jax.runs.inputs import PIXELS
from vae_topk_jax.runs.progress import console

_RULES = {
    MEAN_ABS_Z: "by dimension, mean |z| (the paper)",
    DIMENSION: "by dimension, KL",
    ELEMENT: "by element (default)",
}


def draw_importance_of_rules(rows: Sequence[Row]) -> Iterator[Drawing]:
    """The importance of every latent under three rules."""
    histories = {row.model: row.history for row in rows if row.seed == 0 and row.history}
    panels = {title: histories[model] for model, title in _RULES.items()}
    yield Drawing("importance", "Importance of every latent.", plot_importance(panels))


# Picture -> how it is drawn, and of which rows: the folder of results, the experiment, and the
# variant if it is of one alone.
PICTURES: Mapping[str, tuple[Callable[[Sequence[Row]], Iterator[Drawing]], tuple[str, ...]]] = {
    "importance": (draw_importance_of_rules, ("paper", "table1", "summed KL")),
    "fronts": (draw_fronts, ("ablation", "ablation", "K=8 of 64, averaged KL")),
    "generated": (draw_best_samples, ("generative", "generative")),
    "generators": (draw_generators, ("generative", "generative")),
    "rate": (draw_curve, ("rate", "rate", "D=64")),
    "stitching": (draw_stitching, ("stitch", "stitch", PIXELS)),
    "systems": (draw_reconstructions, ("compare", "compare", "K=8 of 64")),
    **known_factors.PICTURES,
}


def draw(name: str) -> bytes:
    """The PNG file of a picture."""
    draw_rows, (folder, *place) = PICTURES[name]
    rows = [row for row in rows_of(folder) if [row.experiment, row.variant][: len(place)] == place]
    check_epochs(folder, rows)
    with matplotlib.rc_context(STYLE):
        return next(iter(draw_rows(rows))).png


def main(out: Path = Path("docs")) -> None:
    """Draws the pictures.

    Args:
        out: the folder to write to.
    """
    for name in PICTURES:
        file = out / f"{name}.png"
        file.write_bytes(draw(name))
        console.print(f"{file}")


if __name__ == "__main__":
    cli.run(main)
