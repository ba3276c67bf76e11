"""What the page of `experiments.explore` is made of, as HTML: pictures, sliders, a bar chart."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from PIL import Image

from experiments.records.pictures import to_uint8


class Tile(NamedTuple):
    """An image (H, W, C) in [0, 1] with a line above and one below it; without an image, the line
    below says why."""

    title: str
    image: np.ndarray | None
    note: str = ""


def picture(image_HxWxC: np.ndarray, title: str) -> str:
    """An <img> that holds its pixels itself.

    Examples:
        >>> picture(np.ones((2, 2, 1)), "a white square")[:48]
        '<img alt="a white square" src="data:image/png;ba'
    """
    pixels = to_uint8(image_HxWxC)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return embedded(buffer.getvalue(), title)


def embedded(png: bytes, title: str) -> str:
    """The <img> of a PNG file."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'


def tiles(shown: Iterable[Tile], kind: str = "tiles") -> str:
    """Images side by side.

    Args:
        shown: the images.
        kind: classes of their frame, for the style sheet.

    Examples:
        >>> tiles([Tile("dense model", None, "none")])[:49]
        '<div class="tiles"><figure><b>dense model</b><div'
    """
    figures = (
        f"<figure><b>{escape(tile.title)}</b>"
        + ("<div></div>" if tile.image is None else picture(tile.image, tile.title))
        + f"<figcaption>{escape(tile.note)}</figcaption></figure>"
        for tile in shown
    )
    return f'<div class="{kind}">{"".join(figures)}</div>'


def thumbnails(images_NxHxWxC: np.ndarray, indices: Sequence[int], titles: Sequence[str]) -> str:
    """A button for each of some images of a split, in [0, 1]."""
    buttons = (
        f'<button data-index="{index}" title="{escape(title)}">'
        f"{picture(images_NxHxWxC[index], title)}</button>"
        for index, title in zip(indices, titles, strict=True)
    )
    return f'<div class="thumbnails">{"".join(buttons)}</div>'


def sliders(z_D: np.ndarray, limit_D: np.ndarray, in_use: Iterable[int]) -> str:
    """A slider for each latent, those in use first, the others folded away.

    Args:
        z_D: their values.
        limit_D: how far from zero each goes.
        in_use: the dimensions shown at once.

    Examples:
        >>> text = sliders(np.array([0.0, 1.5]), np.array([1.0, 2.0]), [1])
        >>> text.index('data-dim="1"') < text.index('data-dim="0"')
        True
    """
    first = list(in_use)
    others = np.setdiff1d(np.arange(len(z_D)), first).tolist()

    def rows(dims: Iterable[int]) -> str:
        return f'<div class="latents">{"".join(_slider(d, z_D[d], limit_D[d]) for d in dims)}</div>'

    folded = f"<details><summary>{len(others)} latents not in use</summary>{rows(others)}</details>"
    return rows(first) + (folded if others else "")


def _slider(dimension: int, value: float, limit: float) -> str:
    limit = max(float(limit), float(np.ceil(20 * abs(value)) / 20))
    share = 50 + 50 * value / limit
    return (
        f'<label class="{"active" if value else ""}" style="--share:{share:.1f}%">'
        f"<span>z<sub>{dimension}</sub></span>"
        f'<input type="range" min="{-limit:.2f}" max="{limit:.2f}" step="0.05" value="{value:.4f}"'
        f' data-dim="{dimension}" aria-label="latent {dimension}">'
        f"<output>{value:.2f}</output></label>"
    )


def bars(rank_D: np.ndarray, active_D: np.ndarray, level: float | None) -> str:
    """A bar for each dimension, in colour those that are active, with a line at the level from
    which on they are; an SVG drawing.

    Examples:
        >>> bars(np.array([0.5, 2.0]), np.array([False, True]), 1.0).count("<rect")
        2
    """
    width, height, top, bottom, left, right = 900, 220, 14, 20, 48, 46
    rank_D = np.nan_to_num(np.asarray(rank_D, float), posinf=0.0).clip(0.0)
    largest = max(float(rank_D.max()), level or 0.0) or 1.0
    step = (width - left - right) / len(rank_D)

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1 - value / largest)

    parts = [f'<svg class="bars" viewBox="0 0 {width} {height}" role="img">']
    for d, (value, active) in enumerate(zip(rank_D, active_D, strict=True)):
        parts.append(
            f'<rect class="{"active" if active else ""}" x="{left + (d + 0.12) * step:.1f}" '
            f'y="{y(value):.1f}" width="{0.76 * step:.1f}" height="{y(0) - y(value):.1f}">'
            f"<title>dimension {d}: {value:.3g}{'' if active else ', masked'}</title></rect>"
        )
    parts += [_text(left - 5, y(value) + 4, f"{value:.3g}", "end") for value in (0, largest)]
    every = -(-len(rank_D) // 16)
    for d in range(0, len(rank_D), every):
        parts.append(_text(left + (d + 0.5) * step, height - 3, str(d), "middle"))
    if level is not None:
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
            + _text(width - right + 5, y(level) + 4, f"{level:.3g}", "start")
        )
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
