"""Slots: one latent of each group, and how alike the latents of a group are used."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.slots import slot_imbalance, slot_mask, slot_softmax

K, S = 3, 4


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 5, K * S)).astype(np.float32)


def test_the_mask_is_the_largest_of_each_group(scores):
    mask = np.asarray(slot_mask(jnp.asarray(scores), K)).reshape(2, 5, K, S)
    np.testing.assert_array_equal(mask.argmax(-1), scores.reshape(2, 5, K, S).argmax(-1))
    np.testing.assert_array_equal(mask.sum(-1), 1)


def test_ties_go_to_the_lower_index_and_what_is_no_score_is_never_selected():
    rows = jnp.array(
        [[-0.0, 0.0, 1.0, 1.0], [jnp.nan, -5.0, -jnp.inf, jnp.nan], [jnp.inf, jnp.inf, 2.0, 3.0]]
    )
    expected = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]]
    assert slot_mask(rows, 2).tolist() == expected
    assert slot_mask(rows.astype(jnp.bfloat16), 2).tolist() == expected


def test_groups_of_one_pass_whole_and_one_group_has_one_winner(scores):
    assert slot_mask(scores, K * S).all()
    np.testing.assert_array_equal(slot_mask(scores, 1).sum(-1), 1)


def test_the_mask_is_a_constant_to_differentiation(scores):
    slope = jax.grad(lambda x: jnp.sum(slot_mask(x, K) * x))(jnp.asarray(scores))
    np.testing.assert_array_equal(slope, slot_mask(scores, K))


def test_the_softmax_is_that_of_each_group(scores):
    grouped = np.exp(scores.reshape(2, 5, K, S))
    expected = grouped / grouped.sum(-1, keepdims=True)
    np.testing.assert_allclose(slot_softmax(scores, K), expected.reshape(scores.shape), rtol=1e-5)


def test_the_imbalance_is_the_divergence_of_the_mean_choice_from_the_uniform_one():
    choice = np.random.default_rng(1).dirichlet(np.ones(S), (6, K)).reshape(6, K * S)
    valid = np.arange(6) < 4
    q = choice[valid].mean(0).reshape(K, S)
    expected = np.mean(np.sum(q * np.log(q * S), axis=1))
    padded = jnp.asarray(np.where(valid[:, None], choice, np.nan), jnp.float32)
    np.testing.assert_allclose(slot_imbalance(padded, K, jnp.asarray(valid)), expected, rtol=1e-4)
    one = jnp.tile(jax.nn.one_hot(0, S), (6, K))
    np.testing.assert_allclose(slot_imbalance(one, K), np.log(S), rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: slot_imbalance(x, K))(one)).all()


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (5, "k must divide the 12 dimensions by slot, got 5"),
        (0, "k must lie between 1 and the 12 dimensions, got 0"),
    ],
)
def test_groups_that_cannot_be_are_named(scores, k, message):
    with pytest.raises(ValueError, match=message):
        slot_mask(scores, k)
