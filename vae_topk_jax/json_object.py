"""JSON objects that strangers may have written: small, shallow, and read field by field, each with
its type. Anything else gives a ValueError of one line that names the field.
"""

import json
import math
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vae_topk_jax.foreign import read_regular

_MOST_BYTES = 4 << 20
_MOST_LEVELS = 32
_LARGEST = 2**31 - 1  # integer
_MOST_VALUES = 1 << 26  # of an image


class JsonObject:
    """The fields of a JSON object.

    Args:
        fields: as `json` has them.
        name: of the object in the one around it, for messages.

    Examples:
        >>> about = JsonObject.parse('{"step": 3, "config": {"k": "all"}}')
        >>> about.integer("step")
        3
        >>> about.object("config").integer("k", least=1)
        Traceback (most recent call last):
        ValueError: config.k must be an integer in [1, 2147483647], got 'all'
    """

    def __init__(self, fields: dict[str, Any], name: str = ""):
        self.fields = fields
        self._prefix = f"{name}." if name else ""

    @classmethod
    def read(cls, path: Path) -> "JsonObject":
        """The object in a regular file of 4 MiB at most.

        Raises:
            ValueError: it is missing, or as `parse` and `vae_topk_jax.foreign.read_regular`; with
                the file's name.
            OSError: it cannot be read.
        """
        try:
            content = read_regular(path, _MOST_BYTES)
        except FileNotFoundError:
            raise ValueError(f"{path} is missing") from None
        try:
            return cls.parse(content.decode())
        except ValueError as error:
            raise ValueError(f"{path} holds no JSON object: {error}") from None

    @classmethod
    def parse(cls, text: str) -> "JsonObject":
        """The object that a text is.

        Raises:
            ValueError: it is not JSON, not an object, nested deeper than 32 levels, or one of its
                numbers is not finite.

        Examples:
            >>> JsonObject.parse('{"loss": 1e999}')
            Traceback (most recent call last):
            ValueError: 1e999 is not a finite number
        """
        try:
            fields = json.loads(text, parse_float=_finite, parse_constant=_finite)
        except RecursionError:
            raise ValueError(f"nested deeper than {_MOST_LEVELS} levels") from None
        if not isinstance(fields, dict):
            raise ValueError(f"expected a JSON object, got {type(fields).__name__}")
        level: list[Any] = [fields]
        for _ in range(_MOST_LEVELS):
            level = [item for value in level for item in _items(value)]
        if level:
            raise ValueError(f"nested deeper than {_MOST_LEVELS} levels")
        return cls(fields)

    def integer(self, name: str, least: int = 0) -> int:
        """A field that is an integer from `least` to 2^31 - 1."""
        value = self.fields.get(name)
        is_one = type(value) is int and least <= value <= _LARGEST
        return self._checked(name, is_one, f"an integer in [{least}, {_LARGEST}]")

    def number(self, name: str) -> float:
        """A field that is a number."""
        is_one = type(self.fields.get(name)) in (int, float)
        return float(self._checked(name, is_one, "a number"))

    def shape(self, name: str) -> tuple[int, int, int]:
        """A field that is the shape (H, W, C) of an image, of 2^26 values at most."""
        value = self._list(name, {int}, length=3)
        is_one = value is not None and min(value) >= 1 and math.prod(value) <= _MOST_VALUES
        return tuple(self._checked(name, is_one, f"(H, W, C), {_MOST_VALUES:,} values at most"))

    def interval(self, name: str) -> tuple[float, float] | None:
        """A field that is null or two numbers, the smaller one first."""
        value = self._list(name, {int, float}, length=2)
        is_one = self.fields.get(name) is None or (value is not None and value[0] < value[1])
        return self._checked(name, is_one, "null or [smallest, largest]")

    def text(self, name: str) -> str:
        """A field that is text."""
        return self._checked(name, isinstance(self.fields.get(name), str), "text")

    def object(self, name: str) -> "JsonObject":
        """A field that is an object."""
        is_one = isinstance(self.fields.get(name), dict)
        return JsonObject(self._checked(name, is_one, "an object"), f"{self._prefix}{name}")

    def _list(self, name: str, types: set[type], length: int) -> list[Any] | None:
        """A field if it is a list of that many items of these types."""
        value = self.fields.get(name)
        fits = isinstance(value, list) and len(value) == length and {*map(type, value)} <= types
        return value if fits else None

    def _checked(self, name: str, holds: bool, expected: str) -> Any:
        if name not in self.fields:
            raise ValueError(f"{self._prefix}{name} is missing")
        if not holds:
            found = reprlib.repr(self.fields[name])
            raise ValueError(f"{self._prefix}{name} must be {expected}, got {found}")
        return self.fields[name]


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is not a finite number")
    return value
