"""What the page of `experiments.explore` is made of, as HTML: pictures, cards, a bar chart."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from PIL import Image

_BARS = 128  # latents that a chart shows at most


class Tile(NamedTuple):
    """A picture with a line above and one below it."""

    title: str
    pixels: np.ndarray
    note: str = ""


def picture(pixels: np.ndarray, title: str) -> str:
    """An <img> that holds its pixels itself, uint8 (H, W) or (H, W, 3).

    Examples:
        >>> picture(np.full((2, 2), 255, np.uint8), "a white square")[:48]
        '<img alt="a white square" src="data:image/png;ba'
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return embedded(buffer.getvalue(), title)


def embedded(png: bytes, title: str) -> str:
    """The <img> of a PNG file."""
    data = base64.b64encode(png).decode()
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'


def tiles(shown: Iterable[Tile], kind: str = "tiles") -> str:
    """Pictures side by side.

    Args:
        shown: the pictures.
        kind: classes of their frame, for the style sheet.

    Examples:
        >>> tiles([Tile("input", np.zeros((2, 2), np.uint8))])[:43]
        '<div class="tiles"><figure><b>input</b><img'
    """
    figures = (
        f"<figure><b>{escape(tile.title)}</b>{picture(tile.pixels, tile.title)}"
        f"<figcaption>{escape(tile.note)}</figcaption></figure>"
        for tile in shown
    )
    return f'<div class="{kind}">{"".join(figures)}</div>'


def thumbnails(shown: Iterable[tuple[int, np.ndarray, str]]) -> str:
    """A button for each of some inputs: (number, pixels, title)."""
    buttons = (
        f'<button data-index="{index}" title="{escape(title)}">{picture(pixels, title)}</button>'
        for index, pixels, title in shown
    )
    return f'<div class="thumbnails">{"".join(buttons)}</div>'


class Card(NamedTuple):
    """A latent that can be dragged.

    Attributes:
        latent: its number.
        value: what it is now.
        limit: how far from zero its slider goes.
        image: an <img> of what the decoder draws for it, or nothing.
        is_clamped: whether its value is one that was set.
    """

    latent: int
    value: float
    limit: float
    image: str
    is_clamped: bool


def cards(shown: Sequence[Card]) -> str:
    """Latents with their pictures, a slider and a button that ablates each.

    Examples:
        >>> text = cards([Card(7, 1.5, 2.0, "", True)])
        >>> 'data-dim="7"' in text, 'data-open="7"' in text, 'data-ablate="7"' in text
        (True, True, True)
    """
    return f'<div class="latents">{"".join(map(_card, shown))}</div>'


def _card(card: Card) -> str:
    limit = max(card.limit, abs(card.value))
    share = 50 + 50 * card.value / limit
    kind = f"latent{' active' if card.value else ''}{' clamped' if card.is_clamped else ''}"
    number = card.latent
    return (
        f'<div class="{kind}" style="--share:{share:.1f}%">'
        f'<button data-open="{number}" title="Details of latent {number}">{card.image}'
        f"<span>z<sub>{number}</sub></span></button>"
        f'<input type="range" min="{-limit:.4g}" max="{limit:.4g}" step="{limit / 100:.4g}" '
        f'value="{card.value:.6g}" data-dim="{number}" aria-label="latent {number}">'
        f"<output>{card.value:.3g}</output>"
        f'<button data-ablate="{number}" title="Set latent {number} to zero">Ablate</button></div>'
    )


def bars(rank_D: np.ndarray, active_D: np.ndarray, level: float | None) -> str:
    """A bar for each dimension, in colour those that are active, with a line at the level from
    which on they are; an SVG drawing. Of more than 128 dimensions the first by rank, in that order.

    Examples:
        >>> bars(np.array([0.5, 2.0]), np.array([False, True]), 1.0).count("<rect")
        2
    """
    width, height, top, bottom, left, right = 900, 220, 14, 20, 48, 46
    rank_D = np.nan_to_num(np.asarray(rank_D, float), posinf=0.0).clip(0.0)
    dims = np.arange(len(rank_D))
    if len(dims) > _BARS:
        dims = np.argsort(-rank_D, kind="stable")[:_BARS]
    largest = max(float(rank_D.max()), level or 0.0) or 1.0
    step = (width - left - right) / len(dims)

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1 - value / largest)

    parts = [f'<svg class="bars" viewBox="0 0 {width} {height}" role="img">']
    for place, d in enumerate(dims.tolist()):
        value, active = rank_D[d], active_D[d]
        parts.append(
            f'<rect class="{"active" if active else ""}" x="{left + (place + 0.12) * step:.1f}" '
            f'y="{y(value):.1f}" width="{0.76 * step:.1f}" height="{y(0) - y(value):.1f}">'
            f"<title>dimension {d}: {value:.3g}{'' if active else ', masked'}</title></rect>"
        )
    parts += [_text(left - 5, y(value) + 4, f"{value:.3g}", "end") for value in (0, largest)]
    for place in range(0, len(dims), -(-len(dims) // 16)):
        parts.append(_text(left + (place + 0.5) * step, height - 3, str(dims[place]), "middle"))
    if level is not None:
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
            + _text(width - right + 5, y(level) + 4, f"{level:.3g}", "start")
        )
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
