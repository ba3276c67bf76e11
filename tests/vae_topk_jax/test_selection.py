"""The masks against NumPy references, and as citizens of jit, vmap, shard_map and grad."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import PartitionSpec

from vae_topk_jax import batch_top_k_mask, ranking
from vae_topk_jax.element import ElementMask, element_top_k
from vae_topk_jax.selection import apply_mask, sample_top_k_mask

SIZE = 12
FLOATS = st.floats(width=32, allow_subnormal=False)

ROWS, COLUMNS = 6, 5
SPECIAL = st.sampled_from([0.0, -0.0, 1e30, -1e30, np.inf, -np.inf, np.nan])
TIES = st.integers(-3, 3).map(float)
SCORES = hnp.arrays(np.float32, (ROWS, COLUMNS), elements=st.one_of(FLOATS, SPECIAL, TIES))
SHARES = st.integers(0, 4 * COLUMNS).map(lambda quarters: quarters / 4)
VALID = hnp.arrays(np.bool_, ROWS)


def numpy_mask(importance: np.ndarray, k: int) -> np.ndarray:
    """Sorts by (-value, index), NaN and -inf last, and keeps the first k of the others."""
    rank = np.where(np.isnan(importance), -np.inf, importance)
    order = sorted(range(len(rank)), key=lambda d: (-rank[d], d))
    mask = np.zeros(len(rank), np.float32)
    mask[[d for d in order[:k] if rank[d] > -np.inf]] = 1
    return mask


def numpy_element_mask(scores: np.ndarray, k: float, valid: np.ndarray) -> np.ndarray:
    """Sorts the flattened scores stably, and keeps the first round(k B) that are eligible."""
    eligible = valid[:, None] & ~np.isnan(scores) & (scores > -np.inf)
    rank = np.where(eligible, scores, -np.inf).ravel()
    order = np.argsort(-rank, kind="stable")[: round(k * valid.sum())]
    mask = np.zeros(rank.shape, np.float32)
    mask[order] = 1
    return mask.reshape(scores.shape) * eligible


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


@pytest.mark.parametrize("as_count", [int, jnp.int32, jnp.float32])
def test_count_keeps_fewer_and_need_not_be_static(as_count):
    importance = np.random.default_rng(3).normal(size=SIZE).astype(np.float32)
    mask = jax.jit(functools.partial(batch_top_k_mask, k=SIZE))
    for count in (1, 4, SIZE):
        kept = mask(jnp.asarray(importance), count=as_count(count))
        np.testing.assert_array_equal(kept, numpy_mask(importance, count))


@settings(max_examples=50, deadline=None)
@given(scores=SCORES)
def test_per_sample_is_one_mask_an_image(scores: np.ndarray):
    expected = [numpy_mask(row, 2) for row in scores]
    np.testing.assert_array_equal(sample_top_k_mask(scores, 2), expected)
    np.testing.assert_array_equal(sample_top_k_mask(scores, COLUMNS, count=2), expected)


@settings(max_examples=300, deadline=None)
@given(scores=SCORES, k=SHARES, valid=VALID)
def test_by_element_agrees_with_numpy_for_any_floats(scores, k, valid):
    everyone = np.ones(ROWS, bool)
    np.testing.assert_array_equal(
        element_top_k(scores, k).mask_BxD, numpy_element_mask(scores, k, everyone)
    )
    np.testing.assert_array_equal(
        element_top_k(scores, k, valid).mask_BxD, numpy_element_mask(scores, k, valid)
    )


@settings(max_examples=100, deadline=None)
@given(
    scores=hnp.arrays(np.float32, (ROWS, COLUMNS), elements=st.one_of(TIES, SPECIAL)),
    k=SHARES,
    valid=VALID,
)
def test_the_threshold_lies_between_what_is_kept_and_what_is_left_out(scores, k, valid):
    mask, threshold = element_top_k(scores, k, valid)
    kept = np.asarray(mask, bool)
    left = valid[:, None] & (scores > -np.inf) & ~kept
    if kept.any() and left.any():
        assert scores[left].max() <= threshold <= scores[kept].min()
    elif kept.any():
        assert threshold == min(0.0, scores[kept].min())


@settings(max_examples=50, deadline=None)
@given(scores=SCORES, k=SHARES, valid=VALID)
def test_a_batch_split_over_devices_keeps_the_same_elements(scores, k, valid):
    for whole, parts in zip(
        element_top_k(scores, k, valid), split_element_top_k(scores, k, valid), strict=True
    ):
        np.testing.assert_array_equal(whole, parts)


ROWS_SPLIT = PartitionSpec("data")


def split(function, in_specs, out_specs):
    """The function over two devices that have half of the rows each."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs)


@jax.jit
def split_element_top_k(scores, k, valid) -> ElementMask:
    choose = functools.partial(element_top_k, axis_name="data")
    in_specs = ROWS_SPLIT, PartitionSpec(), ROWS_SPLIT
    return split(choose, in_specs, ElementMask(ROWS_SPLIT, PartitionSpec()))(scores, k, valid)


@jax.jit
def split_sample_top_k_mask(scores, k) -> jax.Array:
    choose = functools.partial(sample_top_k_mask, k=COLUMNS)
    in_specs = ROWS_SPLIT, PartitionSpec()
    return split(lambda scores, k: choose(scores, count=k), in_specs, ROWS_SPLIT)(scores, k)


@pytest.fixture(scope="module", params=["tpu", "cuda", "cuda, many scores"])
def as_accelerators_do(request):
    """`element_top_k`, whole and split, and `sample_top_k_mask`, compiled as for an accelerator."""
    platform, _, many = request.param.partition(", ")

    def choose(*given, cpu, default, **others):
        return others.get(platform, default)(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.lax, "platform_dependent", choose)
        if many:
            patch.setattr(ranking, "_SORTED", 0)
        jax.clear_caches()
        example = np.zeros((ROWS, COLUMNS), np.float32), 1.0, np.ones(ROWS, bool)
        whole = jax.jit(element_top_k).lower(*example).compile()
        split_up = split_element_top_k.lower(*example).compile()
        by_row = split_sample_top_k_mask.lower(example[0], 1).compile()
    jax.clear_caches()
    return whole, split_up, by_row


@settings(max_examples=200, deadline=None)
@given(scores=SCORES, k=SHARES, valid=VALID)
def test_accelerators_keep_the_same_elements(as_accelerators_do, scores, k, valid):
    expected = numpy_element_mask(scores, k, valid)
    *by_batch, by_row = as_accelerators_do
    for choose in by_batch:
        mask, threshold = choose(scores, np.float32(k), valid)
        np.testing.assert_array_equal(mask, expected)
        np.testing.assert_array_equal(threshold, element_top_k(scores, k, valid).threshold)
    expected = [numpy_mask(row, round(k)) for row in scores]
    np.testing.assert_array_equal(by_row(scores, round(k)), expected)


BY_DIGITS = [
    jax.jit(functools.partial(ranking.nth_largest_float, digit=digit)) for digit in (1, 2, 4)
]


@settings(max_examples=50, deadline=None)
@given(scores=SCORES, n=st.integers(0, ROWS * COLUMNS))
def test_digits_of_any_length_find_what_a_sort_finds(scores, n):
    of_all, of_rows = jnp.int32(n), jnp.full((ROWS, 1), min(n, COLUMNS), jnp.int32)
    for places in (of_all, of_rows):
        expected = ranking.nth_largest_sorted(scores, places)
        for by_digits in BY_DIGITS:
            found = np.asarray(by_digits(scores, places))
            is_zero = np.abs(found) < np.finfo(np.float32).tiny  # subnormal: alike in comparisons
            np.testing.assert_array_equal(np.where(is_zero, 0, found), expected)


def test_ties_by_the_thousand_go_to_the_lower_indices():
    scores = np.random.default_rng(0).integers(0, 3, (300, 70)).astype(np.float32)
    for k in (0.5, 11, 33.3, 70):
        expected = numpy_element_mask(scores, k, np.ones(300, bool))
        np.testing.assert_array_equal(element_top_k(scores, k).mask_BxD, expected)


def test_k_by_element_is_traced_once():
    chex.clear_trace_counter()
    mask = jax.jit(chex.assert_max_traces(lambda scores, k: element_top_k(scores, k).mask_BxD, 1))
    scores = jax.random.normal(jax.random.key(4), (ROWS, COLUMNS))
    assert [int(mask(scores, k).sum()) for k in (0.5, 1.0, 2.5, 5.0)] == [3, 6, 15, 30]


@pytest.mark.parametrize(
    ("shape", "most"), [((2**16, 2**15), r"2\^31 entries"), ((1, 2**24), r"2\^24 dimensions")]
)
def test_scores_too_many_to_count_are_refused(shape, most):
    scores_BxD = jax.ShapeDtypeStruct(shape, jnp.float32)
    with pytest.raises(ValueError, match=f"scores must have fewer than {most}, got"):
        jax.eval_shape(functools.partial(element_top_k, k=1), scores_BxD)


@pytest.mark.parametrize("choose", [element_top_k, sample_top_k_mask])
def test_scores_without_an_axis_are_named(choose):
    with pytest.raises(ValueError, match=r"scores must have shape .* got shape \(\)"):
        choose(jnp.zeros(()), 1)


@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (3, 1, 2)], ids=str)
def test_leading_axes_are_one_batch(leading):
    scores = np.random.default_rng(6).normal(size=(*leading, SIZE)).astype(np.float32)
    folded, valid = scores.reshape(-1, SIZE), np.arange(scores.size // SIZE) % 3 < 2
    chosen = element_top_k(scores, 2, valid.reshape(leading))
    assert chosen.mask_BxD.shape == scores.shape
    expected = numpy_element_mask(folded, 2, valid)
    np.testing.assert_array_equal(chosen.mask_BxD.reshape(folded.shape), expected)
    masks = [numpy_mask(row, 2) for row in folded]
    of_each = sample_top_k_mask(scores, 2)
    np.testing.assert_array_equal(of_each, np.reshape(masks, scores.shape))
    np.testing.assert_array_equal(apply_mask(scores, of_each), np.where(of_each, scores, 0))


def test_how_many_are_kept_may_change_in_x64_mode():
    with jax.enable_x64(True):
        kept = batch_top_k_mask(jnp.array([1.0, 3.0, 2.0], jnp.float32), 3, jnp.float32(2.0))
    np.testing.assert_array_equal(kept, [0, 1, 1])
