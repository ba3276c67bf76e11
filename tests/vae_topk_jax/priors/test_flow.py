"""The flow: what it is before training, and what it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.priors import flow
from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.flow import Flow, Gaussian, Velocity, _spread_times
from vae_topk_jax.priors.prior import Examples, draw


@pytest.mark.long
def test_before_training_the_flow_has_the_moments_of_the_latents():
    rng = np.random.default_rng(0)
    dense = (rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + [4, -3, 9]).astype(np.float32)
    bits = AnalogBits.of(dense)
    gaussian = Gaussian.of(bits.encode(dense))
    init = functools.partial(Velocity(4, 1, 2).init, jax.random.key(0))
    row_1xR, cluster_1 = jnp.zeros((1, 3)), jnp.zeros(1, jnp.int32)
    shapes = jax.eval_shape(init, row_1xR, row_1xR[:, 0], cluster_1, gaussian.variance_R)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    drawn = np.asarray(
        draw(Flow(bits, gaussian, jnp.full((1, 2), 0.5), params), jax.random.key(1), 3000)
    )
    np.testing.assert_allclose(drawn.mean(0), dense.mean(0), atol=0.2)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(dense.T), atol=0.25)


@pytest.mark.long
def test_the_flow_learns_which_latents_are_active_together():
    rng = np.random.default_rng(0)
    codes = np.zeros((1000, 6), np.float32)
    codes[:700, :2] = rng.normal([3, -2], 0.2, (700, 2))
    codes[700:, 3:5] = rng.normal([-1, 5], 0.2, (300, 2))
    options = {"clusters": 2, "width": 16, "blocks": 1, "steps": 1500, "batch_size": 64}
    fitted = Flow.fit(Examples.of(codes), jax.random.key(0), **options, learning_rate=1e-2)
    np.testing.assert_allclose(np.sort(fitted.share_YxC), [[0.3, 0.7]], atol=1e-6)
    drawn = np.asarray(draw(fitted, jax.random.key(1), 2000))
    np.testing.assert_array_equal((drawn != 0).sum(1), 2)
    np.testing.assert_allclose((drawn != 0).mean(0), (codes != 0).mean(0), atol=0.05)
    own = np.all((drawn != 0) == (codes[:1] != 0), axis=1)
    other = np.all((drawn != 0) == (codes[-1:] != 0), axis=1)
    assert (own | other).mean() > 0.98
    np.testing.assert_allclose(drawn[own, :2].mean(0), [3, -2], atol=0.1)
    assert jnp.array_equal(draw(fitted, jax.random.key(1), 7), drawn[:7])


@pytest.mark.parametrize(
    ("n", "clusters"),
    [(100, 5), *(pytest.param(*x, marks=pytest.mark.long) for x in ((19, 1), (100, 3)))],
)
def test_a_cluster_has_twenty_examples_on_average(monkeypatch, n, clusters):
    monkeypatch.setattr(flow, "minimise", lambda loss, params, *data, **options: params)
    codes = np.ones((n, 2), np.float32)  # of which k-means can make but one cluster
    asked = 3 if clusters == 3 else 50
    fitted = Flow.fit(Examples.of(codes), jax.random.key(0), clusters=asked, width=4, blocks=1)
    assert fitted.share_YxC.shape == (1, clusters)
    assert fitted.share_YxC.sum() == fitted.share_YxC.max() == 1
    assert np.isfinite(draw(fitted, jax.random.key(0), 5)).all()


def test_the_logits_of_times_are_normal():
    t_B = _spread_times(jax.random.key(0), 10_000)
    assert 0 < t_B.min() < t_B.max() < 1
    logit_B = jax.scipy.special.logit(t_B)
    np.testing.assert_allclose([logit_B.mean(), logit_B.std()], [0.5, 1.0], atol=0.01)
