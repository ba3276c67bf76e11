"""Known factors stand beside the images: their names, sizes and values."""

import numpy as np
import pytest

from tests.helpers import doors
from tests.helpers.datasets import small_dataset
from vae_topk_jax.data import DataError, load_dataset
from vae_topk_jax.data.factors import Factors
from vae_topk_jax.files import CACHE_VARIABLE

SIZES = {
    "dsprites": {"color": 1, "shape": 4, "scale": 2, "orientation": 2, "x": 2, "y": 2},
    "shapes3d": dict.fromkeys(
        ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"), 4
    ),
    "mpi3d": {
        "object_color": 4,
        "object_shape": 4,
        "object_size": 2,
        "camera_height": 3,
        "background_color": 3,
        "horizontal_axis": 40,
        "vertical_axis": 40,
    },
    "cars3d": {"object": 4, "azimuth": 5, "elevation": 2},
    "small_norb": {"category": 5, "instance": 10, "elevation": 9, "azimuth": 18, "lighting": 6},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("name", SIZES)
def test_each_image_keeps_its_factors(tmp_path, name):
    made = doors.MAKERS[name](tmp_path)
    data = load_dataset(made.path, made.options)
    assert dict(zip(data.factors.names, data.factors.sizes, strict=True)) == SIZES[name]
    place = {image.tobytes(): number for number, image in enumerate(made.images)}
    for images, factors in (
        (data.train_images, data.train_factors),
        (data.test_images, data.test_factors),
    ):
        written = np.array([place[image.tobytes()] for image in images])
        np.testing.assert_array_equal(factors, expected(name, data.factors.sizes, written))


def expected(name: str, sizes, written: np.ndarray) -> np.ndarray:
    """The factors of the images that were written under these numbers."""
    label = doors.NUMBERS[written % doors.COUNT]
    if name == "dsprites":
        return np.stack([0 * label, label, *[label % 2] * 4], axis=1)
    if name == "shapes3d":
        return np.stack([label] * 6, axis=1)
    if name == "small_norb":
        return np.stack([label] * 5, axis=1)
    return np.stack(np.unravel_index(written, sizes), axis=1)  # the last factor changes fastest


def test_values_are_those_of_the_authors(tmp_path):
    made = doors.dsprites(tmp_path)
    factors = load_dataset(made.path).factors
    assert factors.values[1].tolist() == [0, 0.25, 0.5, 0.75]
    (tmp_path / "b").mkdir()
    norb = load_dataset(doors.small_norb(tmp_path / "b").path).factors
    assert norb.values[2].tolist() == [30, 35, 40, 45, 50, 55, 60, 65, 70]
    assert norb.values[3].tolist() == [*range(0, 360, 20)]


def test_cars_are_resized_when_asked_to(tmp_path):
    made = doors.cars3d(tmp_path)
    data = load_dataset(made.path, doors.DataOptions(image_size=4))
    assert data.image_shape == (4, 4, 3)


FACTORS = Factors(("a",), (np.arange(3.0),))


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (None, "factors and train factors must be given together"),
        (np.zeros((6, 1), np.int64), "train factors must be int32"),
        (np.zeros((6, 2), np.int32), r"train factors must be int32 \(6, 1\)"),
        (np.full((6, 1), 3, np.int32), r"train factor a must be in \[0, 3\), got 3 to 3"),
    ],
)
def test_factors_that_do_not_fit_are_refused(train, message):
    test = np.zeros((2, 1), np.int32)
    with pytest.raises(DataError, match=message):
        small_dataset(factors=FACTORS, train_factors=train, test_factors=test)
    with pytest.raises(DataError, match="2 lists of values for the factors"):
        Factors(("a",), (np.arange(2), np.arange(2)))
