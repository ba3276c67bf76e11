"""The autoregressive prior: its likelihood, and which supports and values it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from vae_topk_jax.priors.autoregressive import Autoregressive, Conditional
from vae_topk_jax.priors.prior import Examples, draw

SMALL = {"components": 2, "width": 16, "blocks": 1, "batch_size": 64, "learning_rate": 1e-2}


def test_the_likelihood_is_that_of_a_choice_and_a_mixture():
    rng = np.random.default_rng(0)
    logit = rng.normal(size=(2, 3, 3)).astype(np.float32)
    mixture = rng.normal(size=(2, 3, 2, 3, 4)).astype(np.float32)
    value = rng.normal(size=(2, 3, 2)).astype(np.float32)
    active = np.zeros((2, 3, 2), np.float32)
    active[0, 0, 1] = active[1, 2, 0] = 1
    found = Conditional(jnp.asarray(logit), jnp.asarray(mixture)).log_likelihood(value, active)
    for r, b in np.ndindex(2, 3):
        log_option = logit[r, b] - logsumexp(logit[r, b])
        if not active[r, b].any():
            assert found[r, b] == pytest.approx(log_option[-1], rel=1e-5)
            continue
        latent = active[r, b].argmax()
        weight, mean, log_std = mixture[r, b, latent]
        parts = norm.logpdf(value[r, b, latent], mean, np.exp(log_std)) + weight
        expected = log_option[latent] + logsumexp(parts) - logsumexp(weight)
        assert found[r, b] == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_slots_are_drawn_with_what_is_chosen_before_them():
    rng = np.random.default_rng(0)
    first = rng.choice(3, 1000, p=[0.6, 0.4, 0.0])
    second = np.where(rng.uniform(size=1000) < 0.9, first, 2)
    codes = np.zeros((1000, 6), np.float32)
    size = rng.choice([-2.0, 4.0], 1000)
    codes[np.arange(1000), first] = size + rng.normal(0, 0.1, 1000)
    codes[np.arange(1000), 3 + second] = 10 * first - size + rng.normal(0, 0.1, 1000)
    prior = Autoregressive.fit(Examples.of(codes), jax.random.key(0), **SMALL, steps=1000)
    assert prior.allowed_GxO.tolist() == [[True, True, False, False], [True, True, True, False]]
    drawn = np.asarray(draw(prior, jax.random.key(1), 2000))
    active = (drawn != 0).reshape(-1, 2, 3)
    np.testing.assert_array_equal(active.sum(2), 1)
    assert not active[:, 0, 2].any()
    np.testing.assert_allclose((drawn != 0).mean(0), (codes != 0).mean(0), atol=0.05)
    chosen = active.argmax(2)
    assert ((chosen[:, 1] == chosen[:, 0]) | (chosen[:, 1] == 2)).mean() > 0.98
    values = drawn.reshape(-1, 2, 3).sum(2)
    assert (abs(values.sum(1) - 10 * chosen[:, 0]) < 1).mean() > 0.98
    assert (np.minimum(abs(values[:, 0] + 2), abs(values[:, 0] - 4)) < 0.5).mean() > 0.98
    np.testing.assert_allclose((values[:, 0] > 1).mean(), 0.5, atol=0.06)
    assert jnp.array_equal(draw(prior, jax.random.key(1), 7), drawn[:7])


@pytest.mark.long
@pytest.mark.parametrize("batch_size", [64, 4])  # more than there are groups, and fewer
def test_latents_without_slots_are_active_together_as_in_the_examples(batch_size):
    rng = np.random.default_rng(0)
    codes = np.zeros((1000, 7), np.float32)
    codes[:700, :2] = rng.normal([3, -2], 0.2, (700, 2))
    codes[700:, 3:5] = rng.normal([-1, 5], 0.2, (300, 2))
    codes[:, 6] = codes.sum(1)
    options = SMALL | {"batch_size": batch_size, "steps": 2000}
    prior = Autoregressive.fit(Examples.of(codes), jax.random.key(0), **options)
    drawn = np.asarray(draw(prior, jax.random.key(1), 2000))
    active = drawn != 0
    assert active[:, 6].all()
    assert not active[:, [2, 5]].any()
    np.testing.assert_allclose(active.mean(0), (codes != 0).mean(0), atol=0.1)
    known = [np.all(active == (code != 0), axis=1) for code in (codes[0], codes[-1])]
    assert np.any(known, axis=0).mean() > 0.97
    np.testing.assert_allclose(drawn[known[0], :2].mean(0), [3, -2], atol=0.1)
    np.testing.assert_allclose(drawn[known[1], 6].mean(), 4, atol=0.3)
