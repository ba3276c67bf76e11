"""Fields: what a class declares, which values they take, and how others are refused."""

import contextlib
import dataclasses
import math
import operator
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from vae_topk_jax.config import Training
from vae_topk_jax.fields import Field, OneOf, fields_of, help_of
from vae_topk_jax.models import MODELS
from vae_topk_jax.models.registry import settings_of

WIDTHS = tuple[int, ...]
RULES = Literal["mean", "sum"]
KINDS = [Field(kind.__name__, kind, None) for kind in (bool, int, float, str)]
KINDS += [Field("rule", RULES, None), Field("widths", WIDTHS, None, (Ge(1),))]
SETTINGS = {name: settings_of(model) for name, model in MODELS.items()} | {
    "training": fields_of(Training)
}


@dataclasses.dataclass
class Base:
    """A base."""

    image_shape: tuple[int, ...] = ()
    size: Annotated[int, Ge(1)] = 1
    """How many."""
    rate: float = 0.5
    """How fast it
    goes."""


@dataclasses.dataclass
class Derived(Base):
    """A derived class."""

    rate: Annotated[float, Gt(0)] = 0.1
    """How slowly it goes."""
    rule: Annotated[str | Callable, OneOf({"first": min, "last": max})] = "first"
    """Which one."""
    hidden: int = dataclasses.field(default=0, init=False)


def test_a_class_has_its_own_fields_and_those_of_its_bases():
    assert fields_of(Derived) == {
        "size": Field("size", int, 1, (Ge(1),)),
        "rate": Field("rate", float, 0.1, (Gt(0),)),
        "rule": Field("rule", Literal["first", "last"], "first"),
    }
    assert fields_of(Base)["rate"] == Field("rate", float, 0.5)


def test_the_text_below_a_field_is_its_help():
    assert help_of(Base) == {"size": "How many.", "rate": "How fast it goes."}
    assert help_of(Derived) == {
        "size": "How many.",
        "rate": "How slowly it goes.",
        "rule": "Which one.",
    }


@pytest.mark.parametrize("owner", SETTINGS)
def test_every_setting_has_a_help_and_a_default_that_it_accepts(owner):
    texts = help_of(MODELS.get(owner, Training))
    for name, field in SETTINGS[owner].items():
        assert texts[name].endswith("."), name
        accepted = field.checked(field.default)
        assert (accepted, type(accepted)) == (field.default, type(field.default)), name


@pytest.mark.parametrize(
    ("kind", "value", "plain"),
    [
        (int, 4, 4),
        (int, np.int64(4), 4),
        (int, jnp.asarray(4), 4),
        (float, 4, 4.0),
        (float, np.int32(4), 4.0),
        (float, np.float32(0.5), 0.5),
        (float, jnp.asarray(0.5), 0.5),
        (bool, True, True),
        (bool, np.bool_(False), False),
        (RULES, np.str_("sum"), "sum"),
        (WIDTHS, [8, np.int32(4)], (8, 4)),
        (WIDTHS, (8,), (8,)),
    ],
)
def test_numbers_of_numpy_and_jax_and_lists_become_plain(kind, value, plain):
    accepted = Field("field", kind, None).checked(value)
    assert (accepted, type(accepted)) == (plain, type(plain))
    if isinstance(accepted, tuple):
        assert all(type(item) is int for item in accepted)


@pytest.mark.parametrize(
    ("kind", "expected", "values"),
    [
        (int, "an integer", [True, 4.0, "4", None, np.bool_(True), np.zeros(1, int), math.nan]),
        (int, r"below 2\^31", [2**31, -(2**31)]),
        (float, "a number", [False, "0.5", None, 10**400, 0.5j, np.zeros((20, 20))]),
        (float, "finite", [math.nan, math.inf, -math.inf, np.float32("nan")]),
        (bool, "True or False", [1, 0.0, "yes", None]),
        (RULES, r"one of \['mean', 'sum'\]", ["max", 1, None, ["sum"], len]),
        (WIDTHS, "a tuple of one or more integers", [(), [], 8, "8", (8, 4.0), (True,), None]),
        (str, "text", [1, None]),
    ],
)
def test_values_of_another_kind_are_refused_in_one_line(kind, expected, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^field must be {expected}, got ") as error:
            Field("field", kind, None).checked(value)
        assert "\n" not in str(error.value)


@given(
    value=st.integers(-20, 20) | st.floats(-20, 20),
    low=st.integers(-9, 9),
    high=st.integers(-9, 9),
    above=st.sampled_from([("ge", Ge, operator.ge, "at least"), ("gt", Gt, operator.gt, "above")]),
    below=st.sampled_from([("le", Le, operator.le, "at most"), ("lt", Lt, operator.lt, "below")]),
)
def test_a_range_is_that_of_pythons_comparisons(value, low, high, above, below):
    both = Interval(**{above[0]: low, below[0]: high})
    open_at = "(["[above[0] == "ge"], ")]"[below[0] == "le"]
    for constraint, holds, words in (
        (above[1](low), above[2](value, low), f"{above[3]} {low}"),
        (below[1](high), below[2](value, high), f"{below[3]} {high}"),
        (
            both,
            above[2](value, low) and below[2](value, high),
            f"in {open_at[0]}{low}, {high}{open_at[1]}",
        ),
    ):
        field = Field("field", type(value), 0, (constraint,))
        if holds:
            assert field.checked(value) == value
        else:
            message = re.escape(f"field must be {words}, got {value!r}")
            with pytest.raises(ValueError, match=f"^{message}$"):
                field.checked(value)


def test_a_range_is_that_of_every_item():
    field = Field("widths", WIDTHS, (1,), (Ge(1),))
    assert field.checked([1, 2]) == (1, 2)
    with pytest.raises(ValueError, match=r"widths must be at least 1, got \[2, 0\]"):
        field.checked([2, 0])


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        max_leaves=4,
    )
)
def test_whatever_is_given_is_accepted_or_refused_by_name(value: Any):
    for field in KINDS:
        accepted = None
        with contextlib.suppress(ValueError):
            accepted = field.checked(value)
        if accepted is not None:
            assert field.checked(accepted) == accepted
            continue
        with pytest.raises(ValueError, match=rf"\A{field.name} must be .*, got .*\Z"):
            field.checked(value)
