"""Strips of images: test images, their reconstructions, samples, and what each latent does."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.records.grouping import first_of_each_model
from experiments.records.pictures import decode_images
from experiments.records.rows import Row
from experiments.reporting.columns import SAMPLERS
from experiments.reporting.figures.style import ANY_PAGE, WIDTH, Drawing

IMAGES_PER_LINE = 10
_LATENTS = (
    "above, one line per latent over its range in the codes, from the mean code (at most 16, those "
    "that move the image farthest); below, what one standard deviation of each latent adds to "
    "the mean's image, one tile per latent."
)


class Strip(NamedTuple):
    """A line or more of images under one label."""

    label: str
    images: np.ndarray
    lines: int = 1

    def montage(self) -> np.ndarray:
        """RGBA pixels; nothing where there is no image."""
        images = self.images[: IMAGES_PER_LINE * self.lines]
        lines = math.ceil(len(images) / IMAGES_PER_LINE)
        n, h, w, _ = images.shape
        canvas = np.zeros((lines * IMAGES_PER_LINE, h + 1, w + 1, 4), np.uint8)
        canvas[:n, :h, :w, :3] = images
        canvas[:n, :h, :w, 3] = 255
        grid = canvas.reshape(lines, IMAGES_PER_LINE, h + 1, w + 1, 4)
        return grid.swapaxes(1, 2).reshape(lines * (h + 1), IMAGES_PER_LINE * (w + 1), 4)


def draw_strips(strips: Sequence[Strip]) -> Figure:
    """Labelled strips of images, one below the other."""
    label, margin = 0.26, 0.04
    montages = [strip.montage() for strip in strips]
    scale = (WIDTH - 2 * margin) / montages[0].shape[1]
    heights = [montage.shape[0] * scale for montage in montages]
    total = sum(heights) + len(strips) * label + margin
    figure = Figure((WIDTH, total), facecolor="none")
    top = total
    for strip, montage, height in zip(strips, montages, heights, strict=True):
        top -= label + height
        box = (margin / WIDTH, top / total, 1 - 2 * margin / WIDTH, height / total)
        axes = figure.add_axes(box)
        axes.imshow(montage, interpolation="nearest")
        axes.set_title(strip.label, pad=3, color=ANY_PAGE)
        axes.set_axis_off()
    return figure


def draw_reconstructions(rows: Sequence[Row]) -> Iterator[Drawing]:
    """Test images, and what each model reconstructs of them."""
    if reconstructions := images_of(rows, "reconstructions"):
        strips = originals(rows) + [Strip(model, i) for model, i in reconstructions.items()]
        caption = "Test images and their reconstructions."
        yield Drawing("reconstructions", caption, draw_strips(strips), photo=True)


def draw_samples(rows: Sequence[Row]) -> Iterator[Drawing]:
    """What each model generates, sampler by sampler."""
    sources = {name: images_of(rows, f"samples_{name}") for name in SAMPLERS}
    strips = [
        Strip(f"{model}: codes from the {name}", images[model], lines=2)
        for model in dict.fromkeys(model for images in sources.values() for model in images)
        for name, images in sources.items()
        if model in images
    ]
    if strips:
        yield Drawing("samples", "Generated images.", draw_strips(strips), photo=True)


def draw_class_grids(rows: Sequence[Row]) -> Iterator[Drawing]:
    """What each model generates of every class, a figure for each model."""
    for model, images in images_of(rows, "classes").items():
        strip = Strip(f"{model}: a class a line", images, math.ceil(len(images) / IMAGES_PER_LINE))
        caption = f"{model}: images of the class that was asked for, from the prior."
        yield Drawing(f"classes {model}", caption, draw_strips([strip]), photo=True)


def draw_noise(rows: Sequence[Row]) -> Iterator[Drawing]:
    """Test images with noise and what each model reconstructs of them, a figure for each sigma."""
    names = {name for row in rows for name in row.pictures or ()}
    for sigma in sorted(name.removeprefix("noisy_") for name in names if name.startswith("noisy_")):
        noisy = next(iter(images_of(rows, f"noisy_{sigma}").values()))
        strips = [*originals(rows), Strip(f"with noise, sigma {sigma}", noisy)]
        reconstructed = images_of(rows, f"reconstructed_{sigma}")
        strips += [Strip(model, images) for model, images in reconstructed.items()]
        caption = f"Reconstructions of test images with noise, sigma {sigma}."
        yield Drawing(f"noise {sigma}", caption, draw_strips(strips), photo=True)


def draw_latents(rows: Sequence[Row]) -> Iterator[Drawing]:
    """What each latent does to an image, a figure for each model."""
    atlases = images_of(rows, "atlas")
    for model, images in images_of(rows, "traversals").items():
        parts = {"traversals": images, "directions": atlases[model]}
        strips = [
            Strip(f"{model}: {name}", part, math.ceil(len(part) / IMAGES_PER_LINE))
            for name, part in parts.items()
        ]
        yield Drawing(f"latents {model}", f"{model}: {_LATENTS}", draw_strips(strips), photo=True)


def originals(rows: Iterable[Row]) -> list[Strip]:
    """The test images, in a strip if there are any."""
    return [
        Strip("originals", images) for images in list(images_of(rows, "originals").values())[:1]
    ]


def images_of(rows: Iterable[Row], name: str) -> dict[str, np.ndarray]:
    """Model -> its images of that name."""
    encoded = first_of_each_model(rows, lambda row: (row.pictures or {}).get(name))
    return {model: decode_images(images) for model, images in encoded.items()}
