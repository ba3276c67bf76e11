"""Draws the importance of every latent under three rules: the picture of docs/method.md.

    python -m experiments.pages.importance_figure

Of the committed results: Table 1, KL summed over latents, seed 0.
"""

from pathlib import Path

import matplotlib

from experiments.pages.table import rows_of
from experiments.reporting.figures.style import STYLE
from experiments.reporting.figures.training_curves import plot_importance
from experiments.study.lineup import DIMENSION, ELEMENT, LITERAL
from experiments.terminal import cli
from vae_topk_jax.runs.progress import console

_TITLES = {
    LITERAL: "by dimension, mean |z| (the paper)",
    DIMENSION: "by dimension, KL",
    ELEMENT: "by element (default)",
}


def main(out: Path = Path("docs/importance.png")) -> None:
    """Draws the picture.

    Args:
        out: the file to write.
    """
    histories = {
        row.model: row.history
        for row in rows_of("paper")
        if (row.experiment, row.variant, row.seed) == ("table1", "summed KL", 0) and row.history
    }
    panels = {title: histories[model] for model, title in _TITLES.items()}
    with matplotlib.rc_context(STYLE):
        plot_importance(panels).savefig(out, dpi=180, metadata={"Software": None})
    console.print(f"{out}")


if __name__ == "__main__":
    cli.run(main)
