"""Draws the three rules of selection on one small batch: the picture of the README.

    python -m experiments.pages.rules_figure

The scores are made up. The last row is one image at inference: by element the batch's threshold
serves for it, by dimension the batch's mask, which stand here for the running averages.
"""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from experiments.reporting.figures.style import FAMILIES, STYLE, WIDTH
from experiments.terminal import cli
from vae_topk_jax import batch_top_k_mask, element_top_k, sample_top_k_mask
from vae_topk_jax.runs.progress import console

_IMAGES, _LATENTS, _K = 8, 16, 3
_GAP = 0.6  # between the batch and the image at inference, in rows


class Chosen(NamedTuple):
    """What a rule keeps.

    Attributes:
        mask_BxD: of the batch, in training.
        alone_D: of one image, at inference.
    """

    mask_BxD: np.ndarray
    alone_D: np.ndarray


def make_scores(images: int = _IMAGES, latents: int = _LATENTS) -> np.ndarray:
    """scores_BxD: some latents matter to every image, others to a few, the last to none."""
    rng = np.random.default_rng(3)
    usual_D = np.exp(-np.arange(latents) / 5.0)
    scores_BxD = usual_D * rng.gamma(1.2, 1.0, (images, latents))
    scores_BxD[::3, latents // 2] += 1.5
    return scores_BxD.astype(np.float32)


def choose(scores_BxD: np.ndarray, alone_D: np.ndarray, k: int) -> dict[str, Chosen]:
    """What each rule keeps of a batch, and of one more image at inference.

    Examples:
        >>> chosen = choose(np.array([[3.0, 2.0], [1.0, 0.0]]), np.array([0.0, 5.0]), k=1)
        >>> [rule.alone_D.tolist() for rule in chosen.values()]
        [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    scores = jnp.asarray(scores_BxD)
    dimension_D = np.asarray(batch_top_k_mask(scores.mean(axis=0), k))
    element = element_top_k(scores, k)
    sample_BxD = sample_top_k_mask(jnp.concatenate([scores, jnp.asarray(alone_D)[None]]), k)
    return {
        "element": Chosen(
            np.asarray(element.mask_BxD), (alone_D >= float(element.threshold)).astype(np.float32)
        ),
        "dimension": Chosen(np.broadcast_to(dimension_D, scores_BxD.shape), dimension_D),
        "sample": Chosen(np.asarray(sample_BxD[:-1]), np.asarray(sample_BxD[-1])),
    }


def draw_rules() -> Figure:
    """Scores of a batch, and what each rule keeps of them."""
    *batch, alone_D = make_scores(_IMAGES + 1)
    scores_BxD = np.stack(batch)
    chosen = choose(scores_BxD, alone_D, _K)
    titles = {
        "element": f"by element (default):\nthe {_K * _IMAGES} largest",
        "dimension": f"by dimension (the paper):\n{_K} columns for all",
        "sample": f"per sample:\n{_K} per image",
    }
    figure = Figure((WIDTH, 3.35), layout="constrained")
    first, *others = figure.subplots(2, 2).flat
    everything = Chosen(np.ones_like(scores_BxD), np.ones_like(alone_D))
    _draw(first, scores_BxD, alone_D, everything, "black", "scores of a batch:\ndarker is larger")
    for axes, (rule, rest) in zip(others, chosen.items(), strict=True):
        _draw(axes, scores_BxD, alone_D, rest, FAMILIES[rule], titles[rule])
    return figure


def _draw(
    axes: Axes,
    scores_BxD: np.ndarray,
    alone_D: np.ndarray,
    chosen: Chosen,
    colour: str,
    title: str,
) -> None:
    """A square for each entry: coloured where it is kept, pale where it is set to zero."""
    last = len(scores_BxD)
    y_N = np.append(np.arange(last), last + _GAP)
    scores_NxD = np.vstack([scores_BxD, alone_D])
    mask_NxD = np.vstack([chosen.mask_BxD, chosen.alone_D])
    strength_NxD = np.clip(scores_NxD / np.quantile(scores_BxD, 0.97), 0.0, 1.0)
    alpha_NxD = np.where(mask_NxD > 0, 0.15 + 0.85 * strength_NxD, 0.03 + 0.2 * strength_NxD)
    for kept, shade in ((mask_NxD > 0, colour), (mask_NxD == 0, "black")):
        rows, columns = np.nonzero(kept)
        rgba = [(*to_rgb(shade), alpha) for alpha in alpha_NxD[kept]]
        axes.scatter(columns, y_N[rows], 44, rgba, marker="s", linewidths=0)
    axes.set_title(title, fontsize=8.5)
    axes.set_yticks([y_N[last // 2], y_N[-1]], ["batch", "new"])
    axes.set_xticks([])
    axes.set_xlabel("latents")
    axes.set_xlim(-0.7, scores_BxD.shape[1] - 0.3)
    axes.set_ylim(last + _GAP + 0.7, -0.7)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def main(out: Path = Path("docs/rules.png")) -> None:
    """Draws the picture.

    Args:
        out: the file to write.
    """
    with matplotlib.rc_context(STYLE):
        draw_rules().savefig(out, dpi=180, metadata={"Software": None})
    console.print(f"{out}")


if __name__ == "__main__":
    cli.run(main)
