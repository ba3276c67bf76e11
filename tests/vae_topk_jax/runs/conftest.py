"""What the tests of runs share."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder, to be changed."""
    return shutil.copytree(finished, tmp_path / "copied")
