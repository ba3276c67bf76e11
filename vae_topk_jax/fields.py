"""The fields of a configuration: what a class declares, what they may hold, what they mean.

A field is written once, in the class that uses it: its name, its type, its default, the values
that it may hold as `typing.Annotated`, and below it the text that `--help` shows.

    k: Annotated[int, Ge(1)] = 8
    \"\"\"How many latents pass.\"\"\"
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import annotated_types
import docstring_parser

# What the trainer fills in, and what linen adds to every module.
_NOT_SETTINGS = {"image_shape", "parent", "name"}
_LIMIT = 2**31


@dataclasses.dataclass(frozen=True, eq=False)
class OneOf:
    """The value is one of these names; a module may hold a callable in its place.

    Attributes:
        known: the names, or a mapping from them.
    """

    known: Mapping[str, Any]


class Field(NamedTuple):
    """A field of a configuration.

    Attributes:
        name: as in Python and in JSON.
        kind: its type: bool, int, float, str, tuple[int, ...] or a Literal of names.
        default: the value where none is given.
        constraints: of `annotated_types`, which the value meets; of a tuple, each of its items.
    """

    name: str
    kind: Any
    default: Any
    constraints: tuple[Any, ...] = ()

    def checked(self, value: Any) -> Any:
        """The value as a plain Python object: NumPy scalars and lists become numbers and tuples.

        Raises:
            ValueError: a value of another type or outside the range, with the name of the field.

        Examples:
            >>> Field("k", int, 8, (annotated_types.Ge(1),)).checked(0)
            Traceback (most recent call last):
            ValueError: k must be at least 1, got 0
        """
        plain = _plain(value, self.kind)
        self._require(_has_type(plain, self.kind), _describe(self.kind), value)
        items = plain if isinstance(plain, tuple) else (plain,)
        numbers = [item for item in items if type(item) in (int, float)]
        self._require(all(map(math.isfinite, numbers)), "finite", value)
        integers = [item for item in items if type(item) is int]
        self._require(all(abs(item) < _LIMIT for item in integers), "below 2^31", value)
        for expected, holds in _ranges(self.constraints):
            self._require(all(map(holds, items)), expected, value)
        return plain

    def _require(self, holds: bool, expected: str, value: Any) -> None:
        if not holds:
            raise ValueError(f"{self.name} must be {expected}, got {value!r}")


@functools.cache
def fields_of(cls: type) -> dict[str, Field]:
    """The settings that a dataclass or a linen module declares, by name, those of its bases first.

    Examples:
        >>> from vae_topk_jax.models import VSC
        >>> fields_of(VSC)["pseudo_inputs"].default
        10
    """
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: _read(field.name, hints[field.name], field.default)
        for field in dataclasses.fields(cls)
        if field.init and field.name not in _NOT_SETTINGS
    }


@functools.cache
def help_of(cls: type) -> dict[str, str]:
    """The text under each field of a class and of its bases.

    Examples:
        >>> from vae_topk_jax.models import VSC
        >>> help_of(VSC)["pseudo_inputs"]
        'How many trainable inputs the prior has.'
    """
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        own = vars(base).get("__annotations__", {})
        if own.keys() & fields_of(cls).keys():
            found = docstring_parser.parse_from_object(base).params
            texts |= {p.arg_name: " ".join((p.description or "").split()) for p in found}
    return {name: texts.get(name, "") for name in fields_of(cls)}


def _read(name: str, hint: Any, default: Any) -> Field:
    constraints: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *found = get_args(hint)
        constraints = tuple(found)
    for constraint in constraints:
        if isinstance(constraint, OneOf):
            return Field(name, Literal[tuple(constraint.known)], default)
    return Field(name, hint, default, constraints)


def _plain(value: Any, kind: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if kind is float and type(value) is int and abs(value) < _LIMIT:
        return float(value)
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_plain(item, get_args(kind)[0]) for item in value)
    return value


def _has_type(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return type(value) is str and value in get_args(kind)
    if get_origin(kind) is tuple:
        items = value if type(value) is tuple else ()
        return len(items) > 0 and all(_has_type(item, get_args(kind)[0]) for item in items)
    return type(value) is kind


def _describe(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {sorted(get_args(kind))}"
    if get_origin(kind) is tuple:
        return "a tuple of one or more integers"
    return {int: "an integer", float: "a number", bool: "True or False"}.get(kind, "text")


def _ranges(constraints: tuple[Any, ...]) -> Iterator[tuple[str, Callable[[Any], bool]]]:
    """Each range in words, and whether a number lies in it."""
    for constraint in constraints:
        if isinstance(constraint, annotated_types.Interval):
            low, high = constraint.ge, constraint.le
            opening = "[" if low is not None else "("
            closing = "]" if high is not None else ")"
            low = constraint.gt if low is None else low
            high = constraint.lt if high is None else high
            tests = [test for _, test in _ranges(tuple(constraint))]
            yield (
                f"in {opening}{low}, {high}{closing}",
                lambda x, tests=tests: all(test(x) for test in tests),
            )
        elif isinstance(constraint, annotated_types.Ge):
            yield f"at least {constraint.ge}", lambda x, low=constraint.ge: x >= low
        elif isinstance(constraint, annotated_types.Gt):
            yield f"above {constraint.gt}", lambda x, low=constraint.gt: x > low
        elif isinstance(constraint, annotated_types.Le):
            yield f"at most {constraint.le}", lambda x, high=constraint.le: x <= high
        elif isinstance(constraint, annotated_types.Lt):
            yield f"below {constraint.lt}", lambda x, high=constraint.lt: x < high
