"""Sprites: areas and places as in geometry, smooth edges, one picture for each combination."""

import jax
import numpy as np
import pytest

from vae_topk_jax.data import DataError, DataOptions, Rows, load_dataset, memory
from vae_topk_jax.data.sprites import SHAPES, render_sprites, sprite_factors

SMALL = "sprites:colour=2,scale=2,rotation=2,x=2,y=3"
RED = 0.0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_dataset(SMALL, cache_dir=tmp_path_factory.mktemp("cache"))


def picture(shape=0, hue=RED, scale=0.3, angle=0.0, x=0.0, y=0.0):
    return np.asarray(render_sprites(np.array([[shape, hue, scale, angle, x, y]])))[0]


def cover(**values):
    """How much of each pixel is covered, by the red of it."""
    return picture(**values)[..., 0] / 255


def inside(shape, u, v):
    """Whether points in units of the scale lie in the shape, by its definition."""
    if shape == 0:
        return np.maximum(abs(u), abs(v)) < 1
    if shape == 1:
        return u**2 + (v / 0.6) ** 2 < 1
    along, across = (u + v) / np.sqrt(2), (v - u) / np.sqrt(2)
    return (
        (np.maximum(abs(along), abs(across)) < 0.6)
        | (np.hypot(along + 0.6, across) < 0.6)
        | (np.hypot(along, across + 0.6) < 0.6)
    )


@pytest.mark.parametrize("shape", range(len(SHAPES)), ids=SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_edges_are_grey_by_how_much_is_covered(shape, angle):
    drawn = cover(shape=shape, angle=angle, x=0.1, y=-0.2)
    points = (np.arange(64 * 8) + 0.5) / (64 * 4) - 1
    across, down = points[None, :] - 0.1, points[:, None] + 0.2
    u = (np.cos(angle) * across + np.sin(angle) * down) / 0.3
    v = (np.cos(angle) * down - np.sin(angle) * across) / 0.3
    exact = inside(shape, u, v).reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert np.abs(drawn - exact).max() < 0.3  # at corners
    assert np.abs(drawn - exact).sum() < 0.02 * exact.sum()
    grey = (drawn > 0.02) & (drawn < 0.98)
    assert grey.sum() > 10
    assert ((exact > 0) & (exact < 1))[grey].mean() > 0.8


def test_areas():
    pixels = (0.3 * 32) ** 2
    assert cover(shape=0).sum() == pytest.approx(4 * pixels, rel=0.01)
    assert cover(shape=1).sum() == pytest.approx(0.6 * np.pi * pixels, rel=0.01)
    heart = (1.2**2 + np.pi * 0.6**2) * pixels
    assert cover(shape=2).sum() == pytest.approx(heart, rel=0.01)


def test_places_and_colours():
    np.testing.assert_array_equal(
        np.roll(picture(shape=2), (4, -6), (0, 1)), picture(shape=2, x=-6 / 32, y=4 / 32)
    )
    for hue, colour in [(0, [255, 0, 0]), (1 / 3, [0, 255, 0]), (2 / 3, [0, 0, 255])]:
        assert picture(hue=hue)[32, 32].tolist() == colour
    assert picture(hue=1 / 6)[32, 32].tolist() == [255, 255, 0]
    assert picture(scale=0.3).sum() > picture(scale=0.2).sum()
    np.testing.assert_allclose(  # a quarter turn clockwise, for y points down
        cover(shape=2, angle=np.pi / 2), np.rot90(cover(shape=2), -1), atol=1 / 255
    )


def test_each_combination_has_a_picture_of_its_own(data):
    images = np.concatenate([data.train_images, data.test_images])
    assert len({image.tobytes() for image in images}) == len(images) == 3 * 2 * 2 * 2 * 2 * 3
    assert images.shape[1:] == (64, 64, 3)
    assert images.dtype == np.uint8
    border = [images[:, [0, -1]], images[:, :, [0, -1]]]
    assert not any(edge.any() for edge in border)  # whole sprites


def test_the_factors_draw_the_picture_again(data):
    assert data.factors.names == ("shape", "colour", "scale", "rotation", "x", "y")
    assert data.factors.sizes == (3, 2, 2, 2, 2, 3)
    columns = zip(data.factors.values, data.test_factors.T, strict=True)
    values = np.stack([values[numbers] for values, numbers in columns], axis=1)
    np.testing.assert_array_equal(render_sprites(values), data.test_images)


def test_the_same_bits_however_they_are_read(data, tmp_path, monkeypatch):
    again = load_dataset(SMALL, cache_dir=tmp_path)
    assert again.digest == data.digest
    monkeypatch.setattr(memory, "total_bytes", lambda: 0)
    rows = load_dataset(SMALL, cache_dir=tmp_path)
    assert isinstance(rows.train_images, Rows)
    assert rows.digest == data.digest
    with jax.enable_x64(True):
        wide = load_dataset(SMALL, cache_dir=tmp_path / "wide")
    assert wide.digest == data.digest


def test_the_seed_decides_what_is_held_out(data, tmp_path):
    other = load_dataset(SMALL, DataOptions(split_seed=1, limit=20), cache_dir=tmp_path)
    assert len(other.train_images) == 20
    assert other.test_factors is not None
    assert other.test_factors.tolist() != data.test_factors.tolist()
    assert data.source == (
        "sprites (shape 3, colour 2, scale 2, rotation 2, x 2, y 3), 14 of 144 held out (seed 0)"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sprites:size=3", "expected factors among shape, colour, .*, got 'size'"),
        ("sprites:x=0", "x must have 1 to 256 values, got 0"),
        ("sprites:shape=4", "shape must have 1 to 3 values, got 4"),
        ("sprites:x=256,y=256,rotation=9", "expected at most 1000000 combinations"),
        ("sprites:x", "expected sizes of factors, .* each once, .*, got 'x'"),
        ("sprites:x=2,x=3", "each once, .*, got 'x=3'"),
        ("sprites:x=-1", "got 'x=-1'"),
    ],
)
def test_what_is_no_grid_is_refused(spec, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_dataset(spec, cache_dir=tmp_path)


def test_what_is_no_picture_is_refused():
    with pytest.raises(DataError, match=r"values must have shape \(N, 6\), got \(2,\)"):
        render_sprites(np.array([0.0, 1.0]))
    with pytest.raises(DataError, match="image_size changes nothing of sprites"):
        load_dataset("sprites", DataOptions(image_size=32))


def test_a_factor_of_one_value_stands_in_the_middle():
    one = sprite_factors(dict.fromkeys(("colour", "scale", "rotation", "x", "y"), 1))
    np.testing.assert_allclose([values[0] for values in one.values], [0, 0, 0.225, 0, 0, 0])
