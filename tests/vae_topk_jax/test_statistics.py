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


def test_the_one_is_found_and_of_several_none_is_taken(layers):
    found = find_statistics({"norm": {"mean": 0}, "a": layers["a"]})
    assert found is not None
    assert [getattr(found, name) is layers["a"][name] for name in NAMES] == [True] * 4
    assert find_statistics({}) is None
    with pytest.raises(ValueError, match="statistics of one BatchTopK, got 2: a, b; all_statist"):
        find_statistics(layers)
