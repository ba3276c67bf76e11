"""The kernel for TPUs, interpreted with small blocks and samples, against bits one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.sharding import PartitionSpec

from vae_topk_jax import single_pass
from vae_topk_jax.element import ElementMask, element_top_k
from vae_topk_jax.single_pass import find_cut, is_worth_a_pass, sample

ROWS, COLUMNS = 16, 4096
VALID = np.arange(ROWS) % 5 > 0
NORMAL = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
CROWDED = NORMAL + np.where(np.arange(COLUMNS) % 128 == 5, np.float32(100), 0)


@pytest.mark.parametrize(
    ("shape", "is_worth"),
    [
        ((8192, 65536), True),
        ((65536, 4224), True),  # 33 times 128
        ((65536, 2048), False),  # rows are too short
        ((4096, 4096), False),  # all lies on the chip
        ((65532, 16384), False),  # rows do not come in eights
        ((65536, 16400), False),
        ((8192, 131 * 1024), False),  # cut into 131 parts, as 131 is prime
    ],
)
def test_a_pass_is_worth_it_for_large_arrays_of_long_rows(shape, is_worth):
    assert is_worth_a_pass(shape) == is_worth


@pytest.mark.long
def test_the_sample_has_every_row_and_column_as_often_and_no_period():
    rows, columns = 32768, 1024
    row_x, column_x = np.indices((rows, columns), np.float32, sparse=True)
    place = np.asarray(sample(row_x * columns + column_x)).astype(int)
    row_S, column_S = place[::8, 0] // columns, place[::8, 0] % columns
    assert np.array_equal(row_S // 32, np.arange(1024))
    assert np.array_equal(np.bincount(column_S // 128), np.full(8, 128))
    for period in (64, 1024):  # of rows, as of tokens in texts
        times = np.bincount(row_S % period // 8, minlength=period // 8)
        assert times.min() >= 0.8 * times.mean()


@pytest.fixture(scope="module")
def like_a_tpu():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            *(jax.lax, "platform_dependent"),
            lambda *given, cpu, default, cuda=None, tpu=None: (tpu or default)(*given),
        )
        patch.setattr(pl, "pallas_call", functools.partial(pl.pallas_call, interpret=True))
        patch.setattr("vae_topk_jax.element.is_worth_a_pass", lambda shape: True)
        for name, value in {"_BLOCK": (6, 2048), "_TILES": 8, "_TILE": (2, 512)}.items():
            patch.setattr(single_pass, name, value)
        jax.clear_caches()
        yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def choose(like_a_tpu):
    """`element_top_k`, and whether one pass was enough."""

    def function(scores, k, valid):
        places = jnp.round(k * jnp.sum(valid, dtype=jnp.float32)).astype(jnp.int32)
        real_scores = jnp.where(valid[:, None], scores, -jnp.inf)
        return element_top_k(scores, k, valid), find_cut(real_scores, places, None)[1]

    return jax.jit(function).lower(NORMAL, np.float32(1), VALID).compile()


def holes(scores):
    """With NaN and infinities."""
    at = np.random.default_rng(1).random(scores.shape)
    scores = np.where(at < 0.1, np.float32("nan"), scores)
    scores = np.where((at > 0.1) & (at < 0.2), np.float32("-inf"), scores)
    return np.where(at > 0.995, np.float32("inf"), scores)


def assert_same(found: ElementMask, scores, k):
    expected = element_top_k(scores, k, VALID)
    np.testing.assert_array_equal(found.mask_BxD, expected.mask_BxD)
    np.testing.assert_array_equal(found.threshold, expected.threshold)


@pytest.mark.parametrize(
    ("scores", "k", "is_enough"),
    [
        (NORMAL, 3.4, True),
        (NORMAL, 500.0, True),
        (holes(NORMAL), 64.0, True),
        (np.round(NORMAL, 2), 64.0, True),  # some tie for the last place
        (np.round(NORMAL), 2000.0, False),  # thousands do
        (np.zeros_like(NORMAL), 16.0, False),
        (CROWDED, 20.0, False),  # all that pass are in few places
        (holes(NORMAL), 4096.0, False),  # fewer are left than places
        (np.full_like(NORMAL, np.nan), 16.0, False),
        (NORMAL, 0.0, False),
    ],
)
def test_the_same_elements_pass_whether_one_pass_is_enough_or_not(choose, scores, k, is_enough):
    found, was_enough = choose(scores, np.float32(k), VALID)
    assert was_enough == is_enough
    assert_same(found, scores, k)


@pytest.mark.long
def test_rows_that_are_split_by_hand_keep_the_same_elements(like_a_tpu):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = PartitionSpec("data")
    split = jax.shard_map(
        functools.partial(element_top_k, axis_name="data"),
        mesh=mesh,
        in_specs=(rows, PartitionSpec(), rows),
        out_specs=ElementMask(rows, PartitionSpec()),
        check_vma=False,  # which interpreted kernels fail, and compiled ones do not
    )
    compiled = jax.jit(split).lower(NORMAL, np.float32(1), VALID).compile()
    for scores, k in ((holes(NORMAL), 64.0), (np.round(NORMAL, 2), 64.0), (CROWDED, 20.0)):
        assert_same(compiled(scores, np.float32(k), VALID), scores, k)
