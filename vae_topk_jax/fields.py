"""The fields of a configuration: what a class declares, what they may hold, what they mean.

A field is written once, in the class that uses it: its name, its type, its default, the values
that it may hold as `typing.Annotated`, and below it the text that `--help` shows.

    k: Annotated[int, Ge(1)] = 8
    \"\"\"How many latents pass.\"\"\"
"""

import dataclasses
import functools
import math
import operator
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import docstring_parser
from annotated_types import Ge, Gt, Interval, Le, Lt

# What the trainer fills in, and what linen adds to every module.
_NOT_SETTINGS = {"image_shape", "parent", "name"}
_LIMIT = 2**31
_BOUNDS: dict[type, tuple[str, str, Callable[[Any, Any], bool]]] = {
    Ge: ("ge", "at least", operator.ge),
    Gt: ("gt", "above", operator.gt),
    Le: ("le", "at most", operator.le),
    Lt: ("lt", "below", operator.lt),
}


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
            >>> Field("k", int, 8, (Ge(1),)).checked(0)
            Traceback (most recent call last):
            ValueError: k must be at least 1, got 0
        """
        plain = _plain(value, self.kind)
        self._require(_has_type(plain, self.kind), _describe(self.kind), value)
        items = plain if isinstance(plain, tuple) else (plain,)
        floats, integers = ([x for x in items if type(x) is kind] for kind in (float, int))
        self._require(all(map(math.isfinite, floats)), "finite", value)
        self._require(all(abs(x) < _LIMIT for x in integers), "below 2^31", value)
        for constraint in self.constraints:
            holds = all(_meets(constraint, item) for item in items)
            self._require(holds, _expected(constraint), value)
        return plain

    def _require(self, holds: bool, expected: str, value: Any) -> None:
        if not holds:
            got = " ".join(repr(value).split())
            raise ValueError(f"{self.name} must be {expected}, got {got}")


def fields_of(cls: type) -> dict[str, Field]:
    """The settings that a dataclass or a linen module declares, by name, those of its bases first.

    Examples:
        >>> from vae_topk_jax.models import VSC
        >>> fields_of(VSC)["pseudo_inputs"].default
        10
    """
    kind: Any = cls  # linen's modules are no Hashable to a type checker
    return _fields_of(kind)


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


@functools.cache
def _fields_of(cls: type) -> dict[str, Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: _read(field.name, hints[field.name], field.default)
        for field in dataclasses.fields(cls)
        if field.init and field.name not in _NOT_SETTINGS
    }


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


def _meets(constraint: Any, value: Any) -> bool:
    parts = constraint if isinstance(constraint, Interval) else [constraint]
    bounds = ((_BOUNDS[type(part)], part) for part in parts)
    return all(compare(value, getattr(part, name)) for (name, _, compare), part in bounds)


def _expected(constraint: Any) -> str:
    """The range in words."""
    if isinstance(constraint, Interval):
        low = f"({constraint.gt}" if constraint.ge is None else f"[{constraint.ge}"
        high = f"{constraint.lt})" if constraint.le is None else f"{constraint.le}]"
        return f"in {low}, {high}"
    name, words, _ = _BOUNDS[type(constraint)]
    return f"{words} {getattr(constraint, name)}"
