"""What a model is given: checked, and served in chunks of a few sizes. Needs only jax."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

CHUNK = 1024
_LARGEST = float(np.finfo(np.float32).max)


def check_images(
    x: Array | np.ndarray, image_shape: Sequence[int], input_range: Sequence[float] | None
) -> Array:
    """The images as float32, if they are what a model of such images takes.

    Args:
        x: images (N, H, W, C), floating.
        image_shape: (H, W, C).
        input_range: the smallest and the largest value; None: any finite one.

    Raises:
        ValueError: another shape, no image, an integer type, values outside the range or NaN; an
            array that is traced.

    Examples:
        >>> check_images(np.zeros((2, 4, 4, 1)), (4, 4, 1), (0.0, 1.0)).dtype
        dtype('float32')
    """
    _refuse_traced("images", x)
    shape, dtype = np.shape(x), getattr(x, "dtype", np.asarray(x).dtype)
    if len(shape) != 4 or shape[1:] != tuple(image_shape) or shape[0] == 0:
        raise ValueError(
            f"images must have shape (N, {', '.join(map(str, image_shape))}), got {shape}"
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"images must be floating in [0, 1], got {dtype}: divide by 255?")
    x = jnp.asarray(x, jnp.float32)
    check_range(x, input_range)
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
    all_of = np.all if isinstance(x, np.ndarray) else jnp.all
    if not all_of((x >= low) & (x <= high)):
        values = np.asarray(x)  # NumPy's extremes are NaN if any value is
        raise ValueError(
            f"images must lie in [{low:g}, {high:g}], got {values.min():g} to {values.max():g}"
            f"{advice}"
        )


def check_latents(z: Array | np.ndarray, latent_dim: int) -> Array:
    """The latents as float32.

    Args:
        z: latents or codes (N, D).
        latent_dim: D.

    Raises:
        ValueError: another shape, or none; an array that is traced.
    """
    _refuse_traced("z", z)
    z = jnp.asarray(z, jnp.float32)
    if z.ndim != 2 or z.shape[1] != latent_dim or len(z) == 0:
        raise ValueError(f"z must have shape (N, {latent_dim}), got {z.shape}")
    return z


def in_chunks(function: Callable[[Array, int], Array], x: Array) -> Array:
    """function(x) in chunks of up to 1,024, padded to a power of two, so that batches of any size
    share a few compiled programs.

    Args:
        function: (chunk, the index of its first example) -> an output for each example.
        x: examples along the first axis, one at least.

    Examples:
        >>> in_chunks(lambda chunk, start: 2 * chunk, jnp.arange(5)).tolist()
        [0, 2, 4, 6, 8]
    """
    outputs = []
    for start in range(0, len(x), CHUNK):
        chunk = x[start : start + CHUNK]
        padding = (1 << (len(chunk) - 1).bit_length()) - len(chunk)
        padded = jnp.pad(chunk, [(0, padding), *[(0, 0)] * (x.ndim - 1)])
        outputs.append(function(padded, start)[: len(chunk)])
    return jnp.concatenate(outputs)


def _refuse_traced(name: str, x: Array | np.ndarray) -> None:
    """Inside `jit`, `vmap` and `grad` values cannot be checked, nor batches be cut into chunks."""
    if isinstance(x, jax.core.Tracer):
        raise ValueError(
            f"{name} must be an array of values, got one that is traced: inside jit, vmap or grad "
            'call `model.model.apply(model.variables, x, method="encode")` of a loaded model, or '
            '`model.programs["encoder"].call(x)` of an exported one'
        )
