"""What every measure takes: codes, the factors behind them, and a key where it samples."""

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vae_topk_jax.checks import check_number

LEAST_EXAMPLES = 4
TEST_FRACTION = 0.25


class Inputs(NamedTuple):
    """Codes and factors that fit together.

    Attributes:
        codes_NxD: float64, each latent shifted and scaled to [0, 1], which changes no measure; 0
            where it does not vary.
        factors_NxF: numbers 0, 1, ... of the values of each factor, in ascending order.
        sizes: how many values each factor has, two or more.
    """

    codes_NxD: NDArray[np.float64]
    factors_NxF: NDArray[np.intp]
    sizes: tuple[int, ...]


def checked(codes_NxD: ArrayLike, factors_NxF: ArrayLike) -> Inputs:
    """Codes and factors as `Inputs`.

    Args:
        codes_NxD: one code an example.
        factors_NxF: the factors' values, or their numbers; equal values are one value.

    Raises:
        ValueError: they are no matrices of finite numbers with the same rows, there are fewer than
            four rows, or a factor has one value only.

    Examples:
        >>> checked(np.eye(4), [[5.0], [7.0], [5.0], [7.0]]).factors_NxF.ravel().tolist()
        [0, 1, 0, 1]
        >>> checked(np.eye(4), np.ones((4, 2)))
        Traceback (most recent call last):
        ValueError: factor 0 has one value only, 1.0: leave it out, for no code can tell it
    """
    codes, factors = _matrix("codes", codes_NxD), _matrix("factors", factors_NxF)
    if len(codes) != len(factors):
        raise ValueError(f"factors must have {len(codes)} rows as the codes, got {len(factors)}")
    if len(codes) < LEAST_EXAMPLES:
        raise ValueError(f"codes must have {LEAST_EXAMPLES} rows or more, got {len(codes)}")
    numbers = np.empty(factors.shape, np.intp)
    sizes = []
    for factor, column in enumerate(factors.T):
        values, numbers[:, factor] = np.unique(column, return_inverse=True)
        if len(values) < 2:
            raise ValueError(
                f"factor {factor} has one value only, {values[0]}: leave it out, for no code can "
                "tell it"
            )
        sizes.append(len(values))
    return Inputs(to_unit_range(codes), numbers, tuple(sizes))


def to_unit_range(values_NxD: ArrayLike) -> NDArray[np.float64]:
    """Each column shifted and scaled to [0, 1], whatever its size; 0 where it does not vary.

    Examples:
        >>> to_unit_range([[-1e308, 7.0], [1e308, 7.0], [0.0, 7.0]]).tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]
    """
    halves_NxD = np.asarray(values_NxD, np.float64) / 2  # whose differences do not overflow
    above_NxD = halves_NxD - halves_NxD.min(axis=0)
    width_D = above_NxD.max(axis=0)
    return above_NxD / np.where(width_D > 0, width_D, 1)


def generator(key: jax.Array) -> np.random.Generator:
    """NumPy's generator for a key of JAX; the same key gives the same numbers.

    Raises:
        ValueError: not a single typed key, as `jax.random.key` makes it.

    Examples:
        >>> key = jax.random.key(0)
        >>> bool(generator(key).random() == generator(key).random())
        True
    """
    if not isinstance(key, jax.Array) or not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ValueError(f"key must be made by jax.random.key, got {key!r}")
    if key.shape:
        raise ValueError(f"key must be a single one, got keys of shape {key.shape}")
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def split(key: jax.Array, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the examples to fit on and of those to test on, a quarter of all.

    Examples:
        >>> train, test = split(jax.random.key(0), 8)
        >>> len(test), sorted([*train.tolist(), *test.tolist()])
        (2, [0, 1, 2, 3, 4, 5, 6, 7])
    """
    order = generator(key).permutation(size)
    held = round(TEST_FRACTION * size)
    return order[held:], order[:held]


def check_count(name: str, value: int, least: int) -> None:
    """Refuses what is not an integer of at least `least`.

    Raises:
        ValueError: names the argument.
    """
    check_number(name, value, least)
    if int(value) != value:
        raise ValueError(f"{name} must be an integer, got {value!r}")


def _matrix(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} must be a matrix with a row and a column or more, got shape {array.shape}"
        )
    # NumPy has no kind for bfloat16
    if array.dtype.kind not in "iufb" and array.dtype.name != "bfloat16":
        raise ValueError(f"{name} must be real numbers, got {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinite values")
    return array
