"""The factors that images were made from, of the sets where they are known."""

from __future__ import annotations

import dataclasses

import numpy as np

from vae_topk_jax.data.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class Factors:
    """Names and values of the factors of variation.

    An image has one value of each factor; its number counts from 0 in the order of `values`.

    Attributes:
        names: of the F factors.
        values: float64, the values of each factor in ascending order; where the authors give none,
            the numbers 0, 1, ...

    Raises:
        DataError: not one list of values for each name.

    Examples:
        >>> factors = Factors(("shape", "x"), (np.arange(3.0), np.linspace(0, 1, 32)))
        >>> factors.sizes
        (3, 32)
    """

    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.values):
            raise DataError(f"{len(self.values)} lists of values for the factors {self.names}")

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each factor has."""
        return tuple(len(values) for values in self.values)

    def check(self, split: str, size: int, numbers_NxF: np.ndarray) -> None:
        """Refuses numbers that are not one for each image and factor.

        Raises:
            DataError: another type or shape, or a number beyond the values of its factor.
        """
        expected = (size, len(self.names))
        if numbers_NxF.dtype != np.int32 or numbers_NxF.shape != expected:
            raise DataError(
                f"{split} factors must be int32 {expected}, "
                f"got {numbers_NxF.dtype} {numbers_NxF.shape}"
            )
        for name, count, column in zip(self.names, self.sizes, numbers_NxF.T, strict=True):
            if not 0 <= column.min() <= column.max() < count:
                raise DataError(
                    f"{split} factor {name} must be in [0, {count}), "
                    f"got {column.min()} to {column.max()}"
                )


def grid(names: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[Factors, np.ndarray]:
    """Factors of which every combination is there once, the last one changing fastest.

    Returns:
        The factors, valued 0, 1, ..., and the numbers_NxF of all combinations.

    Examples:
        >>> grid(("a", "b"), (2, 2))[1].tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    numbers = np.indices(sizes, np.int32).reshape(len(sizes), -1).T
    return Factors(names, tuple(np.arange(size, dtype=np.float64) for size in sizes)), numbers
