"""The flow: what it is before training, and what it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.flow import Flow, Gaussian, Velocity
from vae_topk_jax.priors.prior import Examples, draw


@pytest.mark.long
def test_before_training_the_flow_has_the_moments_of_the_latents():
    rng = np.random.default_rng(0)
    dense = (rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + [4, -3, 9]).astype(np.float32)
    bits = AnalogBits.of(dense)
    gaussian = Gaussian.of(bits.encode(dense))
    init = functools.partial(Velocity(4, 1).init, jax.random.key(0))
    shapes = jax.eval_shape(init, jnp.zeros((1, 3)), jnp.zeros(1), gaussian.variance_R)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    drawn = np.asarray(draw(Flow(bits, gaussian, params), jax.random.key(1), 3000))
    np.testing.assert_allclose(drawn.mean(0), dense.mean(0), atol=0.2)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(dense.T), atol=0.25)


@pytest.mark.long
def test_the_flow_learns_which_latents_are_active_together():
    rng = np.random.default_rng(0)
    codes = np.zeros((1000, 6), np.float32)
    codes[:700, :2] = rng.normal([3, -2], 0.2, (700, 2))
    codes[700:, 3:5] = rng.normal([-1, 5], 0.2, (300, 2))
    options = {"width": 16, "blocks": 1, "steps": 1500, "batch_size": 64, "learning_rate": 1e-2}
    flow = Flow.fit(Examples.of(codes), jax.random.key(0), **options)
    drawn = np.asarray(draw(flow, jax.random.key(1), 2000))
    np.testing.assert_array_equal((drawn != 0).sum(1), 2)
    np.testing.assert_allclose((drawn != 0).mean(0), (codes != 0).mean(0), atol=0.05)
    own = np.all((drawn != 0) == (codes[:1] != 0), axis=1)
    other = np.all((drawn != 0) == (codes[-1:] != 0), axis=1)
    assert (own | other).mean() > 0.98
    np.testing.assert_allclose(drawn[own, :2].mean(0), [3, -2], atol=0.1)
    assert jnp.array_equal(draw(flow, jax.random.key(1), 7), drawn[:7])
