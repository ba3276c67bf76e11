"""The race of the trainings."""

import pytest

from experiments.records.rows import read_results
from experiments.synth import speed


@pytest.mark.long
def test_our_trainings_are_timed_with_and_without_drawing(tmp_path, monkeypatch):
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda name: None)
    speed.main("tiny", tmp_path, rounds=1)
    rows = read_results(tmp_path).rows
    assert [(row.variant, row.model) for row in rows] == [("drawn", "ours"), ("in memory", "ours")]
    assert all(row.metrics["samples_per_second"] > 0 for row in rows)


def test_no_rounds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        speed.main("tiny", tmp_path, rounds=0)
