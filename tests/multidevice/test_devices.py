"""One run, however many devices and processes it is on: the same losses and the same masks."""

import numpy as np
import pytest

from tests.multidevice.launch import join, launch
from tests.multidevice.worker import JOINED, MESHES, RESUMED

pytestmark = pytest.mark.long

RUNS = [(name, f"{data}x{model}") for name, meshes in MESHES.items() for data, model in meshes]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What a run leaves on one device and on several, in one process and in two."""
    folder = tmp_path_factory.mktemp("runs")
    launch("devices", folder, devices=8).finish()
    for run in join(folder, 2):
        run.finish()
    return folder


def told(out, name: str) -> dict[str, np.ndarray]:
    with np.load(out / f"{name}.npz") as file:
        return dict(file)


def assert_same(alone, together) -> None:
    assert alone.keys() == together.keys()
    np.testing.assert_allclose(together["loss"], alone["loss"], atol=1e-5)
    assert alone["skipped"].sum() == together["skipped"].sum() == 0
    if "mask" in alone:
        np.testing.assert_array_equal(together["mask"], alone["mask"])
        np.testing.assert_array_equal(*(ranks(told)[..., :2] for told in (together, alone)))


def ranks(told) -> np.ndarray:
    """The dimensions by falling importance, after each of the 100 steps."""
    return np.argsort(-told["importance"], axis=-1, kind="stable")


@pytest.mark.parametrize(("name", "where"), RUNS)
def test_devices_of_one_process_give_what_one_device_gives(out, name, where):
    alone = told(out, f"{name}-alone")
    assert alone["loss"][-1] < 0.9 * alone["loss"][0]
    assert_same(alone, told(out, f"{name}-{where}"))


@pytest.mark.parametrize("name", JOINED)
def test_joined_processes_give_what_one_device_gives(out, name):
    for process in range(2):
        together = told(out, f"{name}-process-{process}")
        assert_same(told(out, f"{name}-alone"), together)


@pytest.mark.parametrize(("name", "n"), [(name, n) for name, ns in RESUMED.items() for n in ns])
def test_a_checkpoint_of_four_devices_goes_on_elsewhere_as_one_device_does(out, name, n):
    resumed, alone = told(out, f"{name}-resumed-on-{n}"), told(out, f"{name}-alone")
    assert_same({key: value[len(value) // 2 :] for key, value in alone.items()}, resumed)


def test_a_stream_of_which_each_process_reads_its_share_trains_as_the_whole_does(out):
    whole = told(out, "element-alone")["loss"][:2]
    for process in range(2):
        loss_S = told(out, f"stream-{process}")["loss"]
        np.testing.assert_allclose(loss_S.reshape(2, 10).mean(axis=1), whole, atol=1e-5)
