"""Sprites: pictures of one shape each, drawn from factors that are known. Nothing is downloaded.

They are like dSprites, with colours, smooth edges and any grid of factors. Angles stay within a
quarter turn, so that no two of them give the same square.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.factors import Factors

SIDE = 64
SHAPES = ("square", "ellipse", "heart")
SIZES = {"shape": 3, "colour": 4, "scale": 4, "rotation": 4, "x": 8, "y": 8}
_RANGES = {
    "colour": (0.0, 1.0),
    "scale": (0.15, 0.3),
    "rotation": (0.0, np.pi / 2),
    "x": (-0.55, 0.55),
    "y": (-0.55, 0.55),
}
MOST = 1_000_000  # pictures, of 12 kB each
VERSION = 1  # raise it whenever pictures are drawn in another way


def sprite_factors(sizes: Mapping[str, int] | None = None) -> Factors:
    """The factors of a grid: of scale, x and y the middles of equal parts of their ranges.

    - shape: 0 square, 1 ellipse, 2 heart
    - colour: the hue in [0, 1) at full saturation and value; 0 is red
    - scale: half the side of the square, or half the long axis of the ellipse, in [0.15, 0.3]
    - rotation: the angle in [0, pi/2), from x towards y
    - x, y: the centre in [-0.55, 0.55]; the picture reaches from -1 to 1, y downwards

    Values are equally far apart; those of colour and rotation start at 0.

    Args:
        sizes: how many values a factor has, by its name; those of `SIZES` where it is not named.

    Raises:
        DataError: a name that is no factor, a size below 1, more than three shapes, more than 256
            values of another factor, or more than a million combinations.

    Examples:
        >>> factors = sprite_factors({"x": 2, "rotation": 1})
        >>> dict(zip(factors.names, factors.values))["x"].tolist()
        [-0.275, 0.275]
        >>> factors.sizes
        (3, 4, 4, 1, 2, 8)
    """
    sizes = dict(sizes or {})
    if unknown := sorted({*sizes} - {*SIZES}):
        raise DataError(f"sprites: expected factors among {', '.join(SIZES)}, got {unknown[0]!r}")
    counts = SIZES | sizes
    for name, count in counts.items():
        most = len(SHAPES) if name == "shape" else 256
        if not 1 <= count <= most:
            raise DataError(f"sprites: {name} must have 1 to {most} values, got {count}")
    if (total := math.prod(counts.values())) > MOST:
        raise DataError(f"sprites: expected at most {MOST} combinations of factors, got {total}")
    return Factors(tuple(SIZES), tuple(_values(name, count) for name, count in counts.items()))


def render_sprites(values_NxF: ArrayLike, side: int = SIDE) -> Array:
    """The pictures of these values, on the device.

    A pixel is covered by 1/2 - d, clipped to [0, 1], with d the distance of its centre to the edge
    in pixels, negative inside; that of the ellipse is to the first order. The ground is black.

    Args:
        values_NxF: values of the six factors as `sprite_factors` has them; any real number is
            allowed but for the shape.
        side: height and width in pixels.

    Returns:
        uint8 images_NxHxWx3.

    Raises:
        DataError: not six values for each picture.

    Examples:
        >>> red_square = render_sprites(np.array([[0, 0.0, 0.3, 0.0, 0.0, 0.0]]))
        >>> red_square.shape, red_square[0, 32, 32].tolist(), red_square[0, 0, 0].tolist()
        ((1, 64, 64, 3), [255, 0, 0], [0, 0, 0])
    """
    values_NxF = jnp.asarray(values_NxF, jnp.float32)
    if values_NxF.ndim != 2 or values_NxF.shape[1] != len(SIZES):
        raise DataError(
            f"sprites: values must have shape (N, {len(SIZES)}), got {values_NxF.shape}"
        )
    return _render(values_NxF, side)


def _values(name: str, count: int) -> np.ndarray:
    if name == "shape":
        return np.arange(count, dtype=np.float64)
    low, high = _RANGES[name]
    if name in ("colour", "rotation"):
        return np.linspace(low, high, count, endpoint=False)
    return np.linspace(low, high, 2 * count + 1)[1::2]


@functools.partial(jax.jit, static_argnums=1)
def _render(values_NxF: Array, side: int) -> Array:
    shape, hue, scale, angle, x, y = (values_NxF[:, [i], None] for i in range(len(SIZES)))
    centres_S = (jnp.arange(side, dtype=jnp.float32) + 0.5) * (2 / side) - 1
    across, down = centres_S[None, None, :] - x, centres_S[None, :, None] - y
    # in units of the scale, along the axes of the shape
    cos, sin = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    u, v = cos * across + sin * down, cos * down - sin * across
    distance = jnp.where(
        shape == 0, _square(u, v), jnp.where(shape == 1, _ellipse(u, v), _heart(u, v))
    )
    cover_NxHxW = jnp.clip(0.5 - distance * scale * (side / 2), 0, 1)
    turns = (6 * hue + jnp.array([[[0, 4, 2]]], jnp.float32)) % 6
    colour_Nx1x1x3 = jnp.clip(jnp.abs(turns - 3) - 1, 0, 1)[:, None]
    return jnp.round(255 * cover_NxHxW[..., None] * colour_Nx1x1x3).astype(jnp.uint8)


def _square(u: Array, v: Array, half: float = 1.0) -> Array:
    """Distance to the edge of a square with sides of 2 `half`, negative inside."""
    beyond_u, beyond_v = jnp.abs(u) - half, jnp.abs(v) - half
    outside = jnp.hypot(jnp.maximum(beyond_u, 0), jnp.maximum(beyond_v, 0))
    return outside + jnp.minimum(jnp.maximum(beyond_u, beyond_v), 0)


def _ellipse(u: Array, v: Array, ratio: float = 0.6) -> Array:
    """(g - 1) / |grad g| for g the radius in units of the ellipse's own."""
    radius = jnp.sqrt(u**2 + (v / ratio) ** 2)
    slope = jnp.hypot(u, v / ratio**2) / jnp.maximum(radius, 1e-6)
    return (radius - 1) / jnp.maximum(slope, 1.0)


def _heart(u: Array, v: Array, half: float = 0.6) -> Array:
    """A square on one of its corners, and a half disc on each of its upper sides."""
    root = np.sqrt(0.5).astype(np.float32)
    along, across = root * (u + v), root * (v - u)
    discs = (
        jnp.hypot(along + half, across),
        jnp.hypot(along, across + half),
    )
    return jnp.minimum(_square(along, across, half), jnp.minimum(*discs) - half)
