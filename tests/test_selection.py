"""The mask against a NumPy reference, and as a citizen of jit, vmap and grad."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vae_topk_jax import batch_top_k_mask
from vae_topk_jax.selection import apply_mask

SIZE = 12
FLOATS = st.floats(width=32, allow_subnormal=False)


def numpy_mask(importance: np.ndarray, k: int) -> np.ndarray:
    """Sorts by (-value, index), NaN and -inf last, and keeps the first k of the others."""
    rank = np.where(np.isnan(importance), -np.inf, importance)
    order = sorted(range(len(rank)), key=lambda d: (-rank[d], d))
    mask = np.zeros(len(rank), np.float32)
    mask[[d for d in order[:k] if rank[d] > -np.inf]] = 1
    return mask


@settings(max_examples=300, deadline=None)
@given(importance=hnp.arrays(np.float32, SIZE, elements=FLOATS), k=st.integers(1, SIZE))
def test_agrees_with_numpy_for_any_floats(importance: np.ndarray, k: int):
    np.testing.assert_array_equal(batch_top_k_mask(importance, k), numpy_mask(importance, k))


@pytest.mark.parametrize("k", [1, 5, SIZE])
def test_has_exactly_k_ones(k: int):
    importance = jax.random.normal(jax.random.key(0), (SIZE,))
    assert batch_top_k_mask(importance, k).sum() == k


def test_ties_go_to_the_lower_index():
    assert batch_top_k_mask(jnp.zeros(5), 2).tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.int32])
def test_takes_any_real_type(dtype):
    mask = batch_top_k_mask(jnp.array([1, 5, 3], dtype), 2)
    assert mask.tolist() == [0, 1, 1]
    assert jnp.issubdtype(mask.dtype, jnp.floating)


def test_vmap_is_one_mask_a_row():
    importance = jax.random.normal(jax.random.key(1), (6, SIZE))
    masks = jax.vmap(lambda row: batch_top_k_mask(row, 3))(importance)
    np.testing.assert_array_equal(masks, [numpy_mask(np.asarray(row), 3) for row in importance])


def test_gradient_flows_through_the_kept_values_only():
    z = jax.random.normal(jax.random.key(2), (4, SIZE))

    def total(z):
        return jnp.sum(apply_mask(z, batch_top_k_mask(jnp.mean(jnp.abs(z), axis=0), 3)) ** 2)

    kept = np.asarray(batch_top_k_mask(jnp.mean(jnp.abs(z), axis=0), 3), bool)
    grad = jax.grad(total)(z)
    np.testing.assert_allclose(grad[:, kept], 2 * z[:, kept], rtol=1e-6)
    assert not grad[:, ~kept].any()


def test_masked_values_are_exact_zero_even_if_not_finite():
    z, mask = jnp.array([[jnp.inf, jnp.nan, 2.0]]), jnp.array([0.0, 0.0, 1.0])
    assert apply_mask(z, mask).tolist() == [[0, 0, 2]]
    assert jax.grad(lambda z: apply_mask(z, mask).sum())(z).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("k", [0, -1, SIZE + 1])
def test_k_out_of_range_is_named(k: int):
    with pytest.raises(ValueError, match=f"k must lie between 1 and the {SIZE} dimensions, got"):
        batch_top_k_mask(jnp.zeros(SIZE), k)


@pytest.mark.parametrize("k", [2.0, "2", None])
def test_k_of_another_type_is_named(k):
    with pytest.raises(ValueError, match="k must be an integer, got"):
        batch_top_k_mask(jnp.zeros(SIZE), k)


@pytest.mark.parametrize("shape", [(), (2, SIZE)])
def test_importance_of_another_rank_is_named(shape):
    with pytest.raises(ValueError, match="importance must have one axis"):
        batch_top_k_mask(jnp.zeros(shape), 1)
