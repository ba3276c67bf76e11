"""Supports of training images with independent values."""

import jax
import numpy as np

from vae_topk_jax.priors.patterns import Patterns
from vae_topk_jax.priors.prior import Examples, draw


def test_patterns_have_the_supports_and_the_moments_of_the_codes(sparse_codes):
    prior = Patterns.fit(Examples.of(sparse_codes), jax.random.key(0))
    drawn = np.asarray(draw(prior, jax.random.key(3), 20_000))
    supports, made = ({row.tobytes() for row in x != 0} for x in (sparse_codes, drawn))
    assert made <= supports
    np.testing.assert_allclose((drawn != 0).mean(0), (sparse_codes != 0).mean(0), atol=0.02)
    for real, made in zip(sparse_codes.T, drawn.T, strict=True):
        real, made = real[real != 0], made[made != 0]
        if len(real) > 100:
            np.testing.assert_allclose(made.mean(), real.mean(), atol=0.1 * real.std())
            np.testing.assert_allclose(made.std(), real.std(), rtol=0.1)
