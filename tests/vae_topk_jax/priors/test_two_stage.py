"""The second VAE."""

import jax
import numpy as np
import pytest

from vae_topk_jax.priors.prior import Examples, draw
from vae_topk_jax.priors.two_stage import TwoStage


@pytest.mark.long
def test_samples_are_active_and_as_large_as_the_codes(sparse_codes):
    options = {"width": 32, "steps": 1500, "batch_size": 64, "learning_rate": 3e-3}
    prior = TwoStage.fit(Examples.of(sparse_codes), jax.random.key(0), **options)
    drawn = np.asarray(draw(prior, jax.random.key(1), 3000))
    np.testing.assert_array_equal((drawn != 0).sum(1), 2)
    assert not drawn[:, 5].any()
    np.testing.assert_allclose((drawn != 0).mean(0), (sparse_codes != 0).mean(0), atol=0.08)
    sizes = [np.abs(x).sum(0) / np.maximum((x != 0).sum(0), 1) for x in (drawn, sparse_codes)]
    np.testing.assert_allclose(*sizes, rtol=0.2)
