"""What may be asked of data besides their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Literal

from vae_topk_jax.data.errors import DataError

_TYPES: dict[str, tuple[type, ...]] = {
    "image_size": (int,),
    "colour": (str,),
    "skip_broken": (bool,),
    "tensor": (str,),
    "test_fraction": (float, int),
    "split_seed": (int,),
    "validation": (int,),
    "limit": (int,),
}
# What every source takes: they choose among the examples.
FOR_ALL = frozenset({"test_fraction", "split_seed", "validation", "limit"})


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How the data are read, and which of them.

    Raises:
        DataError: a value outside its range.

    Examples:
        >>> DataOptions(limit=0)
        Traceback (most recent call last):
        vae_topk_jax.data.errors.DataError: limit must be at least 1, got 0
    """

    image_size: int | None = None
    """Resize and crop pictures to so many pixels a side; if not given, all must have one size."""
    colour: Literal["grey", "rgb"] | None = None
    """Read pictures as "grey" or "rgb"; if not given, as "rgb" where any of them has colours."""
    skip_broken: bool = False
    """Count pictures that cannot be read and leave them out, instead of stopping at the first."""
    tensor: str | None = None
    """Which tensor of safetensors files, or which column of a table, is trained on, where there are
    several."""
    test_fraction: float | None = None
    """Where the data have no test split: the part that is held out for it, drawn at random; 0.1 if
    not given, of 10,000 examples at most."""
    split_seed: int = 0
    """Decides what is held out, and what --limit takes."""
    validation: int | None = None
    """Hold out so many training examples, drawn at random, and measure on them in place of the test
    split, which is not looked at: for choices that are to be scored on it once they are made."""
    limit: int | None = None
    """At most so many examples of each split, drawn at random."""

    def __post_init__(self) -> None:
        for name in ("image_size", "validation", "limit"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise DataError(f"{name} must be at least 1, got {value}")
        if self.colour not in (None, "grey", "rgb"):
            raise DataError(f"colour must be 'grey' or 'rgb', got {self.colour!r}")
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise DataError(f"test_fraction must lie between 0 and 1, got {self.test_fraction}")
        if self.split_seed < 0:
            raise DataError(f"split_seed must be at least 0, got {self.split_seed}")

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not at their defaults."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    def refuse_unless(self, taken: Collection[str], title: str) -> None:
        """Refuses options that would change nothing.

        Raises:
            DataError: an option was given that is neither among `taken` nor for all data.
        """
        for name, value in self.given.items():
            if name not in FOR_ALL and name not in taken:
                raise DataError(f"{name} changes nothing of {title}: leave it out, got {value!r}")

    @classmethod
    def from_saved(cls, fields: Mapping[str, Any]) -> DataOptions:
        """The inverse of `given`, for what a file holds; other fields are left alone.

        Raises:
            DataError: a field of another type or out of range, by name.
        """
        known = {name: fields[name] for name in _TYPES if name in fields}
        for name, value in known.items():
            if type(value) not in _TYPES[name]:
                expected = _TYPES[name][0].__name__
                raise DataError(f"{name} must be of type {expected}, got {value!r}")
        return cls(**known)
