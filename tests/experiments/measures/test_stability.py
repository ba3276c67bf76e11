"""Overlap of masks."""

import numpy as np
import pytest

from experiments.measures.stability import jaccard


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([1, 1, 0], [1, 1, 0], 1), ([1, 0], [0, 1], 0), ([1, 1, 0], [0, 1, 1], 1 / 3), ([0], [0], 1)],
)
def test_jaccard(a, b, expected):
    assert jaccard(np.array(a), np.array(b)) == expected
