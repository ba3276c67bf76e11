"""What the functions of arrays refuse, in one line that names the argument."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

Function = TypeVar("Function")


def check_batch(**arrays: Array) -> None:
    """Refuses arrays that are not numbers of one shape (B, D), neither of them 0.

    Args:
        arrays: by name.

    Raises:
        ValueError: another shape or type, by name.

    Examples:
        >>> check_batch(z=jnp.ones((2, 3)), mu=jnp.ones((1, 3)))
        Traceback (most recent call last):
        ValueError: mu must have the shape of z, (2, 3), got (1, 3)
    """
    first, shape = _first(arrays)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{first} must have two axes, (B, D), neither empty, got shape {shape}")
    _check_alike(arrays)


def check_latent(**arrays: Array) -> None:
    """Refuses arrays that are not numbers of one shape (..., D), no axis of them empty.

    Args:
        arrays: by name.

    Raises:
        ValueError: another shape or type, by name.

    Examples:
        >>> check_latent(z=jnp.ones((2, 7, 7, 3)))
        >>> check_latent(z=jnp.ones(()))
        Traceback (most recent call last):
        ValueError: z must have shape (..., D), no axis of it empty, got shape ()
    """
    first, shape = _first(arrays)
    if not shape or 0 in shape:
        raise ValueError(
            f"{first} must have shape (..., D), no axis of it empty, got shape {shape}"
        )
    _check_alike(arrays)


def _first(arrays: Mapping[str, Array]) -> tuple[str, tuple[int, ...]]:
    first = next(iter(arrays))
    return first, jnp.shape(arrays[first])


def _check_alike(arrays: Mapping[str, Array]) -> None:
    first, shape = _first(arrays)
    for name, value in arrays.items():
        check_shape(name, value, first, shape)
        if not (_is(value, jnp.floating) or _is(value, jnp.integer)):
            raise ValueError(f"{name} must be real numbers, got {jnp.result_type(value)}")


def check_shape(name: str, value: Array, other: str, shape: tuple[int, ...]) -> None:
    """Refuses an array of another shape than that of `other`.

    Raises:
        ValueError: names both.
    """
    if jnp.shape(value) != shape:
        raise ValueError(f"{name} must have the shape of {other}, {shape}, got {jnp.shape(value)}")


def check_valid(valid_B: Array | None, *shape: int) -> None:
    """Refuses marks of the real examples that are not one per example.

    Args:
        valid_B: the marks; None: all are real.
        shape: B, or all the leading axes.

    Raises:
        ValueError: another shape.

    Examples:
        >>> check_valid(jnp.ones(3), 2)
        Traceback (most recent call last):
        ValueError: valid must have shape (2,), got (3,)
    """
    if valid_B is not None and jnp.shape(valid_B) != shape:
        raise ValueError(f"valid must have shape {shape}, got {jnp.shape(valid_B)}")


def check_image_shape(shape: Sequence[int]) -> None:
    """Refuses what is not the shape of an image.

    Raises:
        ValueError: other than three positive sizes.

    Examples:
        >>> check_image_shape(())
        Traceback (most recent call last):
        ValueError: image_shape must be (H, W, C), all positive, got ()
    """
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"image_shape must be (H, W, C), all positive, got {tuple(shape)}")


def check_number(name: str, value: ArrayLike, low: float, high: float = math.inf) -> None:
    """Refuses what is not one number in [low, high]; while tracing its value is not known.

    Raises:
        ValueError: NaN, another number or an array.

    Examples:
        >>> check_number("count", -1, 0)
        Traceback (most recent call last):
        ValueError: count must be a number in [0, inf], got -1
    """
    if isinstance(value, jax.core.Tracer):
        return
    number = np.asarray(value)
    if number.ndim or number.dtype.kind not in "iuf" or not low <= number <= high:
        raise ValueError(f"{name} must be a number in [{low}, {high}], got {value!r}")


def lookup(kind: str, name: str | Function, known: Mapping[str, Function]) -> Function:
    """The function of that name, or the callable itself.

    Raises:
        ValueError: no function of that name is known.

    Examples:
        >>> lookup("reduction", "sum", {"sum": jnp.sum, "mean": jnp.mean}) is jnp.sum
        True
    """
    if not isinstance(name, str):
        return name
    if name not in known:
        raise ValueError(f"{kind} must be a callable or one of {sorted(known)}, got {name!r}")
    return known[name]


def _is(value: Array, kind: type) -> bool:
    return jnp.issubdtype(jnp.result_type(value), kind)
