"""Figures of the report, drawn from rows alone."""

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.records.rows import Row, decode_images
from experiments.reporting.columns import SAMPLERS
from experiments.reporting.figures.fronts import WIDTH, draw_churn, draw_fronts
from experiments.reporting.figures.rate_distortion import draw_curve
from experiments.reporting.figures.stitching import draw_stitching
from experiments.reporting.tables import by_model

STYLE: dict[Any, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 8.5,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.2,
}
# none of them grey, which is for the dimensions that were not selected
COLOURS = [f"tab:{name}" for name in ("blue", "orange", "green", "red", "purple", "pink", "cyan")]
IMAGES_PER_LINE = 10


CURVE = (
    "Distortion of codes drawn from the posterior over what they cost, mean over seeds: the "
    "beta-VAE for every beta, and the other systems by number. Lower left is better."
)
STITCHING = (
    "above, the error as novel latents of the large dictionary are inserted in the small one and "
    "the others take the place of what they resemble, until it is the large one; in the middle, "
    "other thresholds; below, the latents one by one, those left of the line being novel."
)
LATENTS = (
    "above, a line a latent over its range in the codes, from the mean code (at most 16, those "
    "that move the image farthest); below, what one standard deviation of each latent adds to "
    "the mean's image, a tile each."
)


class Picture(NamedTuple):
    """A PNG file with the text that stands below it."""

    name: str
    caption: str
    png: bytes


class Strip(NamedTuple):
    """A line or more of images under one label."""

    label: str
    images: np.ndarray
    lines: int = 1

    def montage(self) -> np.ndarray:
        images = self.images[: IMAGES_PER_LINE * self.lines]
        lines = math.ceil(len(images) / IMAGES_PER_LINE)
        n, h, w, c = images.shape
        canvas = np.full((lines * IMAGES_PER_LINE, h, w, c), 255, np.uint8)
        canvas[:n] = images
        grid = canvas.reshape(lines, IMAGES_PER_LINE, h, w, c)
        grid = np.pad(grid, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
        return grid.swapaxes(1, 2).reshape(lines * (h + 1), IMAGES_PER_LINE * (w + 1), c)


def draw_strips(strips: Sequence[Strip]) -> Figure:
    """Labelled strips of images, one below the other."""
    label, margin = 0.26, 0.04
    montages = [strip.montage() for strip in strips]
    scale = (WIDTH - 2 * margin) / montages[0].shape[1]
    heights = [montage.shape[0] * scale for montage in montages]
    total = sum(heights) + len(strips) * label + margin
    figure = Figure((WIDTH, total))
    top = total
    for strip, montage, height in zip(strips, montages, heights, strict=True):
        top -= label + height
        box = (margin / WIDTH, top / total, 1 - 2 * margin / WIDTH, height / total)
        axes = figure.add_axes(box)
        axes.imshow(montage.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(strip.label, pad=3)
        axes.set_axis_off()
    return figure


def draw_losses(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Loss, reconstruction term and KL term over the epochs, a line for each model."""
    terms = {"loss": "loss", "reconstruction": "reconstruction term", "kl": "KL term"}
    figure = Figure((WIDTH, 2.0 * len(terms) + 0.2 * len(histories)), layout="constrained")
    panels = figure.subplots(len(terms), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (term, title) in zip(panels, terms.items(), strict=True):
        for model, history in histories.items():
            axes.plot(history["epoch"], history[term], marker=".", markersize=3, label=model)
        axes.set_title(title)
        _scale(axes, [value for history in histories.values() for value in history[term]])
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", frameon=False)
    return figure


def draw_importance(histories: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The importance of every dimension over training, a panel for each model."""
    figure = Figure((WIDTH, 2.3 * len(histories) + 0.2), layout="constrained")
    panels = figure.subplots(len(histories), 1, squeeze=False)[:, 0]
    for axes, (model, history) in zip(panels, histories.items(), strict=True):
        steps = history["importance"]["step"]
        values = np.asarray(history["importance"]["values"], float)
        active = history["importance"]["active_dims"]
        others = np.delete(values, active, axis=1)
        axes.plot(steps, others, color="0.7", linewidth=0.6)
        axes.set_prop_cycle(color=COLOURS)
        axes.plot(steps, values[:, active])
        axes.set_title(f"{model}: {len(active)} of {values.shape[1]} in use")
        axes.set_ylabel("importance")
        _scale(axes, values)
    panels[-1].set_xlabel("training step")
    return figure


def _scale(axes: Axes, values: Any) -> None:
    """A logarithmic axis where positive values span more than a factor of 30."""
    positive = np.asarray(values)[np.asarray(values) > 0]
    if positive.size and positive.max() > 30 * positive.min():
        axes.set_yscale("log")


def draw_pictures(rows: Sequence[Row]) -> list[Picture]:
    """Every figure that the rows of one experiment and variant allow.

    Where a model has several seeds, its first one is drawn.
    """
    histories = _first(rows, lambda row: row.history)
    sparse = {model: h for model, h in histories.items() if "importance" in h}
    stem = _slug(f"{rows[0].experiment} {rows[0].variant}")
    pictures = []

    def keep(name: str, caption: str, figure: Figure) -> None:
        pictures.append(Picture(f"{stem}-{_slug(name)}.png", caption, _png(figure)))

    with matplotlib.rc_context(STYLE):
        if rows[0].experiment == "ablation":
            return _ablation_pictures(stem, rows, histories)
        if rows[0].experiment == "stitch":
            for model, history in histories.items():
                keep(model, f"{model}: {STITCHING}", draw_stitching(history))
            return pictures
        if rows[0].experiment == "rate":
            keep("curve", CURVE, draw_curve(by_model(rows)))
        for name, caption, strips in _strip_figures(rows):
            keep(name, caption, draw_strips(strips))
        if sparse:
            caption = "Importance of every latent dimension; in colour those in use at the end."
            keep("importance", caption, draw_importance(sparse))
        if histories:
            keep("losses", "Training losses.", draw_losses(histories))
    return pictures


def _ablation_pictures(
    stem: str, rows: Sequence[Row], histories: Mapping[str, Mapping[str, Any]]
) -> list[Picture]:
    fronts = (
        "Every variant, mean over seeds. Those that no other beats in both are numbered; where "
        "all latents are active, in the panel of active latents only."
    )
    churn = "Churn of the mask: 1 - agreement of the batch's own choice with the running one."
    pictures = [Picture(f"{stem}-fronts.png", fronts, _png(draw_fronts(by_model(rows))))]
    sparse = {model: h for model, h in histories.items() if "agreement" in h}
    if sparse:
        pictures.append(Picture(f"{stem}-churn.png", churn, _png(draw_churn(sparse))))
    return pictures


def _strip_figures(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Strip]]]:
    originals = [Strip("originals", i) for i in list(_images(rows, "originals").values())[:1]]
    if reconstructions := _images(rows, "reconstructions"):
        strips = originals + [Strip(model, i) for model, i in reconstructions.items()]
        yield "reconstructions", "Test images and their reconstructions.", strips

    sources = {name: _images(rows, f"samples_{name}") for name in SAMPLERS}
    if any(sources.values()):
        strips = [
            Strip(f"{model}: codes from the {name}", images[model], lines=2)
            for model in dict.fromkeys(model for images in sources.values() for model in images)
            for name, images in sources.items()
            if model in images
        ]
        yield "samples", "Generated images.", strips

    for sigma in sorted(
        {name[6:] for row in rows for name in row.pictures or () if name[:6] == "noisy_"}
    ):
        noisy = next(iter(_images(rows, f"noisy_{sigma}").values()))
        strips = [*originals, Strip(f"with noise, sigma {sigma}", noisy)]
        strips += [Strip(model, i) for model, i in _images(rows, f"reconstructed_{sigma}").items()]
        yield f"noise {sigma}", f"Reconstructions of test images with noise, sigma {sigma}.", strips

    atlases = _images(rows, "atlas")
    for model, images in _images(rows, "traversals").items():
        parts = {"traversals": images, "directions": atlases[model]}
        strips = [
            Strip(f"{model}: {name}", part, math.ceil(len(part) / IMAGES_PER_LINE))
            for name, part in parts.items()
        ]
        yield f"latents {model}", f"{model}: {LATENTS}", strips


def _images(rows: Iterable[Row], name: str) -> dict[str, np.ndarray]:
    encoded = _first(rows, lambda row: (row.pictures or {}).get(name))
    return {model: decode_images(images) for model, images in encoded.items()}


def _first(rows: Iterable[Row], get: Callable[[Row], Any]) -> dict[str, Any]:
    """What `get` finds in each model's first row that has it."""
    found: dict[str, Any] = {}
    for row in rows:
        value = get(row)
        if value and row.model not in found:
            found[row.model] = value
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=180, metadata={"Software": None})
    return buffer.getvalue()
