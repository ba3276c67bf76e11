"""The statistics of each layer of a model are found by its path."""

import numpy as np
import pytest

from vae_topk_jax.statistics import NAMES, TopKStatistics, all_statistics, find_statistics


@pytest.fixture
def layers() -> dict[str, dict[str, np.ndarray]]:
    return {name: vars(TopKStatistics.zeros(size)) for name, size in (("a", 3), ("b", 5))}


def test_each_layer_has_its_own(layers):
    found = all_statistics({"outer": {"inner": layers["a"]}, "b": layers["b"], "norm": {"mean": 0}})
    assert {path: len(stats.importance) for path, stats in found.items()} == {
        "outer/inner": 3,
        "b": 5,
    }


def test_the_one_is_found_and_several_are_joined_in_the_order_of_their_numbers(layers):
    found = find_statistics({"norm": {"mean": 0}, "a": layers["a"]})
    assert found is not None
    assert [getattr(found, name) is layers["a"][name] for name in NAMES] == [True] * 4
    assert find_statistics({}) is None
    levels = {
        f"level_{number}": vars(TopKStatistics.zeros(size))
        | {"importance": np.full(size, number, np.float32), "threshold": np.float32(number)}
        | {"count": np.int32(20 - number)}
        for number, size in ((10, 2), (9, 1))
    }
    joined = find_statistics({"inner": levels})
    assert joined is not None
    assert joined.importance.tolist() == joined.threshold.tolist() == [9.0, 10.0, 10.0]
    assert (joined.frequency.shape, int(joined.count)) == ((3,), 10)
