"""Sets of sprites: what is correlated goes together in training alone; what is held out is never
trained on."""

import numpy as np
import pytest

from vae_topk_jax.data import DataError, DataOptions, Dataset, load_dataset
from vae_topk_jax.data.sprites import render_sprites

GRID = "sprites:shape=1,colour=3,scale=2,rotation=1,x=8,y=8,side=16"
COLOUR, SCALE, X, Y = 1, 2, 4, 5


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return lambda spec, **options: load_dataset(spec, DataOptions(**options), cache_dir=cache)


def rows(dataset: Dataset) -> set[bytes]:
    """Every picture of both splits."""
    return {x.tobytes() for x in (*dataset.train_images, *dataset.test_images)}


def test_the_side_is_that_of_the_pictures(load):
    data = load(GRID)
    assert data.image_shape == (16, 16, 3)
    assert data.source.startswith("sprites (shape 1, colour 3, scale 2, rotation 1, x 8, y 8, side")
    columns = zip(data.factors.values, data.test_factors.T, strict=True)
    values = np.stack([values[numbers] for values, numbers in columns], axis=1)
    np.testing.assert_array_equal(render_sprites(values, 16), data.test_images)


def test_correlated_factors_go_together_in_training_only(load):
    plain = load(GRID, test_fraction=0.5)
    data = load(f"{GRID},correlated=x:y:0.2", test_fraction=0.5)
    np.testing.assert_array_equal(data.test_images, plain.test_images)
    assert {x.tobytes() for x in data.train_images} < {x.tobytes() for x in plain.train_images}
    together = np.corrcoef(data.train_factors.T[[COLOUR, SCALE, X, Y]].astype(float))
    assert together[2, 3] > 0.7
    assert np.abs(together[np.triu_indices(4, 1)][:-1]).max() < 0.25
    # How often a combination stays is its weight.
    difference_N = (data.train_factors[:, X] - data.train_factors[:, Y]) / 7
    whole_N = (plain.train_factors[:, X] - plain.train_factors[:, Y]) / 7
    for step in (0, 1 / 7, 2 / 7):
        kept, all_of_them = (np.isclose(np.abs(d), step).sum() for d in (difference_N, whole_N))
        expected = np.exp(-(step**2) / 0.08)
        assert kept / all_of_them == pytest.approx(expected, abs=0.2)
        assert step or kept == all_of_them
    weaker = load(f"{GRID},correlated=x:y:0.7", test_fraction=0.5)
    assert len(data.train_images) < len(weaker.train_images) < len(plain.train_images)
    other = load(f"{GRID},correlated=x:y:0.2", test_fraction=0.5, split_seed=1)
    assert other.digest != data.digest
    assert data.source.endswith("x and y correlated with sigma 0.2), 192 of 384 held out (seed 0)")


@pytest.mark.parametrize("pair", [(COLOUR, X), (X, COLOUR), (X, Y), (SCALE, COLOUR)])
def test_combinations_that_are_held_out_make_the_test(load, pair):
    names = dict(zip((COLOUR, SCALE, X, Y), ("colour", "scale", "x", "y"), strict=True))
    first, second = (names[factor] for factor in pair)
    data = load(f"{GRID},held_out={first}:{second}:0.4")
    train, test = (
        {tuple(numbers) for numbers in factors[:, list(pair)].tolist()}
        for factors in (data.train_factors, data.test_factors)
    )
    total = np.prod([data.factors.sizes[factor] for factor in pair])
    assert not train & test
    assert len(train | test) == total
    assert len(test) == round(0.4 * total)
    assert rows(data) == rows(load(GRID))
    for factor in range(6):
        assert {*data.train_factors[:, factor]} == {*range(data.factors.sizes[factor])}
    assert data.source.endswith(f"combinations of {first} and {second} held out)")


def test_both_at_once(load):
    data = load(f"{GRID},correlated=x:y:0.2,held_out=colour:scale:0.5")
    assert len(data.test_images) == 192
    assert np.corrcoef(data.train_factors[:, X], data.train_factors[:, Y])[0, 1] > 0.7
    assert len({*map(tuple, data.train_factors[:, [COLOUR, SCALE]].tolist())}) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("side=8", "side must be from 16 to 256 pixels, got 8"),
        ("sizes=3", "expected factors among shape, .*, got 'sizes'"),
        ("side=x", "expected sizes of factors, a side, .* each once, .*, got 'side=x'"),
        ("correlated=x:y", "got 'correlated=x:y'"),
        ("correlated=x:y:0", "sigma of correlated must be above 0, got 0"),
        ("correlated=x:x:0.2", "correlated must name two of colour, scale, x, y, got x and x"),
        ("correlated=x:shape:0.2", "correlated must name two of .*, got x and shape"),
        ("held_out=x:size:0.2", "held_out must name two of .*, got x and size"),
        ("held_out=x:y:0", "held_out must be 1 to 56 of the 64 combinations of x and y, .*, got 0"),
        ("held_out=x:y:1", "so that each value is trained on, got 64"),
        ("held_out=x:y:0.2,held_out=x:y:0.3", "each once, .*, got 'held_out=x:y:0.3'"),
    ],
)
def test_what_is_no_set_is_refused(load, more, message):
    grid = GRID.removesuffix(",side=16")
    with pytest.raises(DataError, match=message):
        load(f"{grid},{more}")


def test_there_is_no_other_test_than_what_is_held_out(load):
    with pytest.raises(DataError, match="test_fraction is for data without a test split"):
        load(f"{GRID},held_out=x:y:0.4", test_fraction=0.2)
