"""Precision and recall by balls, against the definition written out."""

import numpy as np
import pytest

from vae_topk_jax.metrics.manifold import precision_recall


def written_out(real: np.ndarray, generated: np.ndarray, neighbours: int) -> float:
    """The share of the generated points that are in the ball around some real one."""
    inside = 0
    for point in generated:
        for centre in real:
            radius = np.sort(np.linalg.norm(real - centre, axis=1))[neighbours]
            if np.linalg.norm(point - centre) <= radius:
                inside += 1
                break
    return inside / len(generated)


def test_precision_and_recall_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(40, 3)), rng.normal(1.5, 1.0, size=(30, 3))
    found = precision_recall(real, generated, 3)
    assert found == (written_out(real, generated, 3), written_out(generated, real, 3))
    assert 0 < found.recall < 1
    assert 0 < found.precision < 1
    assert precision_recall(real, real) == (1, 1)


@pytest.mark.parametrize(
    ("generated", "neighbours", "message"),
    [
        (np.zeros((4, 3)), 3, "generated must have as many features as real, 2, got 3"),
        (np.zeros((4, 2)), 4, r"neighbours must lie in \[1, 3\], got 4"),
    ],
)
def test_bad_features_are_refused(generated, neighbours, message):
    with pytest.raises(ValueError, match=message):
        precision_recall(np.zeros((5, 2)), generated, neighbours)
