"""What a model is given: checked, and served in chunks of a few sizes. Needs only jax."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

CHUNK = 1024
REFINED_CHUNK = 64  # where codes are refined: each image needs the slopes of all its pixels
_LARGEST = float(np.finfo(np.float32).max)


def check_images(
    x: Array | np.ndarray, image_shape: Sequence[int], input_range: Sequence[float] | None
) -> Array | np.ndarray:
    """The images as they are, if they are what a model of such images takes.

    Args:
        x: images (N, H, W, C), floating; a memory map is read chunk by chunk.
        image_shape: (H, W, C).
        input_range: the smallest and the largest value; None: any finite one.

    Raises:
        ValueError: another shape, no image, an integer type, values outside the range or NaN; an
            array that is traced.

    Examples:
        >>> check_images(np.zeros((2, 4, 4, 1)), (4, 4, 1), (0.0, 1.0)).shape
        (2, 4, 4, 1)
    """
    x = _as_array("images", x)
    if x.ndim != 4 or x.shape[1:] != tuple(image_shape) or len(x) == 0:
        raise ValueError(
            f"images must have shape (N, {', '.join(map(str, image_shape))}), got {x.shape}"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"images must be floating in [0, 1], got {x.dtype}: divide by 255?")
    if isinstance(x, Array):
        check_range(x, input_range)
        return x
    for start in range(0, len(x), CHUNK):
        check_range(x[start : start + CHUNK], input_range)
    return x


def check_range(
    x: Array | np.ndarray, input_range: Sequence[float] | None, advice: str = ""
) -> None:
    """Refuses images with values outside the range of a model.

    Args:
        x: floating images.
        input_range: the smallest and the largest value; None: any finite one.
        advice: the end of the message.

    Raises:
        ValueError: values outside the range or NaN.

    Examples:
        >>> check_range(jnp.array([0.0, 255.0]), (0.0, 1.0))
        Traceback (most recent call last):
        ValueError: images must lie in [0, 1], got 0 to 255
    """
    low, high = input_range or (-_LARGEST, _LARGEST)
    is_within = _is_within if isinstance(x, np.ndarray) else _is_within_jitted
    if not is_within(x, low, high):
        values = np.asarray(x)  # NumPy's extremes are NaN if any value is
        raise ValueError(
            f"images must lie in [{low:g}, {high:g}], got {values.min():g} to {values.max():g}"
            f"{advice}"
        )


def _is_within(x: Any, low: float, high: float) -> Any:
    return ((x >= low) & (x <= high)).all()


_is_within_jitted = jax.jit(_is_within)


def check_latents(z: Array | np.ndarray, latent_dim: int) -> Array | np.ndarray:
    """The latents as they are.

    Args:
        z: latents or codes (N, D).
        latent_dim: D.

    Raises:
        ValueError: another shape, or none; an array that is traced.
    """
    z = _as_array("z", z)
    if z.ndim != 2 or z.shape[1] != latent_dim or len(z) == 0:
        raise ValueError(f"z must have shape (N, {latent_dim}), got {z.shape}")
    return z


def in_chunks(
    function: Callable[[Array, int], Array], x: Array | np.ndarray, size: int = CHUNK
) -> Array:
    """function(x) in chunks of up to 1,024, padded to a power of two, so that batches of any size
    share a few compiled programs. Of an array of the host one chunk at a time is on the device.

    Args:
        function: (float32 chunk, the index of its first example) -> an output for each example.
        x: examples along the first axis, one at least.
        size: of a chunk, a power of two.

    Examples:
        >>> in_chunks(lambda chunk, start: 2 * chunk, np.arange(5.0)).tolist()
        [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if len(x) <= size:
        return _of_padded(function, x, 0)
    starts = range(0, len(x), size)
    return jnp.concatenate([_of_padded(function, x[i : i + size], i) for i in starts])


def _of_padded(
    function: Callable[[Array, int], Array], chunk: Array | np.ndarray, start: int
) -> Array:
    """`in_chunks` of one chunk. What needs no padding is neither copied nor cut: on a GPU every
    operation takes as long as a small model."""
    chunk = chunk.astype(np.float32)
    padding = (1 << (len(chunk) - 1).bit_length()) - len(chunk)
    if not padding:
        return function(jnp.asarray(chunk), start)
    pad = jnp.pad if isinstance(chunk, Array) else np.pad
    padded = pad(chunk, [(0, padding), *[(0, 0)] * (chunk.ndim - 1)])
    return function(jnp.asarray(padded), start)[: len(chunk)]


def _as_array(name: str, x: Array | np.ndarray) -> Array | np.ndarray:
    """x where it is; inside `jit`, `vmap` and `grad` values cannot be checked, nor batches be cut
    into chunks."""
    if isinstance(x, jax.core.Tracer):
        raise ValueError(
            f"{name} must be an array of values, got one that is traced: inside jit, vmap or grad "
            'call `model.model.apply(model.variables, x, method="encode")` of a loaded model, or '
            '`model.programs["encoder"].call(x)` of an exported one'
        )
    return x if isinstance(x, Array | np.ndarray) else np.asarray(x)
