"""Which latent moves with which factor: matrices, and what each latent does to an image."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.grouping import first_of_each_model
from experiments.records.rows import Row
from experiments.reporting.figures.strips import (
    IMAGES_PER_LINE,
    Strip,
    draw_strips,
    images_of,
)
from experiments.reporting.figures.style import WIDTH, Drawing

MOST_LATENTS = 16
DARKEST = 0.6  # the share that is drawn black
_CAPTION = (
    "How much each latent knows of each factor: mutual information over the factor's entropy, of "
    "one seed, in percent. Latents are ordered by the factor that they know most of."
)


def draw_information(rows: Sequence[Row]) -> Iterator[Drawing]:
    """A matrix for each model."""
    matrices = first_of_each_model(rows, _matrix)
    if matrices:
        yield Drawing("information", _CAPTION, plot_information(matrices))


def draw_traversals(rows: Sequence[Row]) -> Iterator[Drawing]:
    """What each latent in use does to an image, a figure for each model."""
    for model, images in images_of(rows, "traversals").items():
        strip = Strip(f"{model}: a line for each latent", images, len(images) // IMAGES_PER_LINE)
        caption = (
            f"{model}: each line moves one latent over its range in the codes, from the mean code; "
            "those that move the image farthest first."
        )
        yield Drawing(f"traversals {model}", caption, draw_strips([strip]), photo=True)


def plot_information(matrices: Mapping[str, Mapping[str, Any]], across: int = 2) -> Figure:
    """Factors down, latents across, darker where a latent knows more."""
    down = -(-len(matrices) // across)
    factors = len(next(iter(matrices.values()))["factors"])
    latents = max(len(matrix["information_DxF"]) for matrix in matrices.values())
    figure = Figure((WIDTH, down * (0.24 * factors + 0.62)), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    for axes in panels.flat[len(matrices) :]:
        axes.set_axis_off()
    for number, (axes, (model, matrix)) in enumerate(
        zip(panels.flat, matrices.items(), strict=False)
    ):
        _draw_matrix(axes, model, matrix, named=number % across == 0)
        axes.set_xlim(-0.5, min(latents, MOST_LATENTS) - 0.5)
    return figure


def _draw_matrix(axes: Axes, model: str, matrix: Mapping[str, Any], named: bool) -> None:
    share_DxF = np.array(matrix["information_DxF"])
    share_DxF = share_DxF[ordered(share_DxF)][:MOST_LATENTS]
    axes.imshow(share_DxF.T, cmap="Greys", vmin=0, vmax=DARKEST, aspect="auto")
    for (latent, factor), share in np.ndenumerate(share_DxF):
        if share >= 0.1:
            colour = "white" if share > 0.6 * DARKEST else "black"
            axes.text(
                latent, factor, f"{100 * share:.0f}", ha="center", va="center", color=colour,
                fontsize=6,
            )  # fmt: skip
    axes.set_yticks(range(share_DxF.shape[1]), matrix["factors"] if named else [])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_title(model, fontsize=8)


def ordered(share_DxF: np.ndarray) -> np.ndarray:
    """The latents by the factor that each knows most of, and among those by how much; what knows
    nothing comes last.

    Examples:
        >>> ordered(np.array([[0.0, 0.0], [0.0, 0.3], [0.2, 0.1], [0.0, 0.4]])).tolist()
        [2, 3, 1, 0]
    """
    most_D = share_DxF.max(axis=1)
    return np.lexsort([-most_D, share_DxF.argmax(axis=1), most_D == 0])


def _matrix(row: Row) -> Mapping[str, Any] | None:
    history = row.history or {}
    return history if "information_DxF" in history else None
