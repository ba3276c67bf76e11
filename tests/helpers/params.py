"""Parameters of which few are usual."""

from collections.abc import Collection, Iterable

import pytest


def long_but(usual: Collection[str], names: Iterable[str]) -> list:
    """All names; those that are not usual are long."""
    return [x if x in usual else pytest.param(x, marks=pytest.mark.long) for x in names]
