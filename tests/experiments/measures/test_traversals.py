"""Pictures of what latents do, against a linear decoder."""

import numpy as np

from experiments.measures.traversals import SHOWN, STEPS, atlas, traversals

WEIGHTS = np.random.default_rng(0).normal(0, 0.01, (40, 9))


def linear(z: np.ndarray) -> np.ndarray:
    return (0.5 + z @ WEIGHTS[: z.shape[1]]).reshape(-1, 3, 3, 1)


def test_a_traversal_runs_over_the_range_of_the_codes_from_the_mean_code():
    codes = np.random.default_rng(1).normal(size=(500, 3)) * [1.0, 3.0, 0.0]
    images = traversals(linear, codes).reshape(2, STEPS, 9)
    for number, dim in enumerate([1, 0]):  # the one that moves the image farthest first
        z = np.tile(codes.mean(0), (STEPS, 1))
        z[:, dim] = np.linspace(codes[:, dim].min(), codes[:, dim].max(), STEPS)
        np.testing.assert_allclose(images[number], linear(z).reshape(STEPS, 9), atol=1e-6)


def test_of_many_latents_those_are_shown_that_move_the_image():
    codes = np.random.default_rng(1).normal(size=(50, 40))
    images = traversals(linear, codes).reshape(SHOWN, STEPS, 9)
    moved = np.square(images[:, -1] - images[:, 0]).sum(1)
    assert (np.diff(moved) <= 0).all()
    spans = np.square(np.ptp(codes, axis=0)[:, None] * WEIGHTS).sum(1)
    np.testing.assert_allclose(moved, np.sort(spans)[::-1][:SHOWN], rtol=1e-4)


def test_the_atlas_shows_directions_on_one_scale():
    codes = np.random.default_rng(1).normal(size=(500, 3)) * [1.0, 3.0, 0.0]
    change = 2 * atlas(linear, codes).reshape(3, 9) - 1
    expected = codes.std(0)[:, None] * WEIGHTS[:3]
    np.testing.assert_allclose(change, expected / np.abs(expected).max(), atol=1e-4)
