"""A short version of every row of `experiments.chaos`."""

import shutil
import subprocess

import pytest

from experiments.chaos.__main__ import FAULTS

# Orbax gives up at the first part that it cannot read, while it is still reading others.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
TRIALS = {
    "kill": 1,
    "first_save": 1,
    "readers": 10,
    "late_steps": 2,
    "torn_logs": 10,
    "disagreement": 2,
    "damage": 10,
    "data": 60,
    "disk": 2,
    "nonfinite": 4,
    "configurations": 40,
    "arrays": 52,
    "foreign": 25,
    "clients": 20,
    "visitors": 20,
    "large_arrays": 1,
    "hubs": 8,
    "endurance": 2_000,
}


def small_disk_allowed() -> bool:
    """Whether this user may mount a file system of his own."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


USUAL = {"damage", "data", "nonfinite"}
NAMES = [pytest.param(name, marks=() if name in USUAL else pytest.mark.long) for name in FAULTS]


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_has_the_outcome_that_it_must_have(name):
    if name == "disk" and not small_disk_allowed():
        pytest.skip("needs a file system of its own")
    fault, _ = FAULTS[name]
    assert fault(TRIALS[name])
