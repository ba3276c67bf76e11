"""What lies on a Pareto front."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.reporting.figures.fronts import front

points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(points)
def test_the_front_is_what_no_other_point_beats(points):
    best = set(front(np.array(points, float)).tolist())
    for i, point in enumerate(points):
        beaten = any(
            other[0] >= point[0] and other[1] >= point[1] and other != point for other in points
        )
        assert (i in best) != beaten


@pytest.mark.parametrize(
    ("points", "expected"),
    [([[1, 1]], [0]), ([[1, 1], [1, 1]], [0, 1]), ([[0, 2], [1, 1], [2, 0], [0, 0]], [0, 1, 2])],
)
def test_equal_points_share_the_front(points, expected):
    assert front(np.array(points, float)).tolist() == expected
