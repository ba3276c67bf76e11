"""A study of the smallest size."""

import dataclasses

import pytest

from experiments.records.rows import ResultsFile
from experiments.study.budget import PRESETS, Passes
from experiments.study.study import Study


@pytest.fixture
def study(blobs, tmp_path) -> Study:
    budget = dataclasses.replace(PRESETS["tiny"], training=Passes(1), mixture_codes=512, samples=64)
    return Study(blobs, budget, ResultsFile(tmp_path))
