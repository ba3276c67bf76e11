"""The kernel for TPUs, interpreted, against selection digit by digit; small blocks and samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

from vae_topk_jax import single_pass
from vae_topk_jax.selection import element_top_k
from vae_topk_jax.single_pass import find_cut

ROWS, COLUMNS = 16, 4096
VALID = np.arange(ROWS) % 5 > 0
NORMAL = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)


@pytest.fixture(scope="module")
def on_a_tpu():
    """`element_top_k`, and whether one pass was enough, as for a TPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            *(jax.lax, "platform_dependent"),
            lambda *given, cpu, default, tpu=None: (tpu or default)(*given),
        )
        patch.setattr(pl, "pallas_call", functools.partial(pl.pallas_call, interpret=True))
        patch.setattr("vae_topk_jax.selection.is_worth_a_pass", lambda shape: True)
        for name, value in {"_BLOCK": (12, 2048), "_STRIPS": 8, "_TILE": (2, 512)}.items():
            patch.setattr(single_pass, name, value)
        jax.clear_caches()

        def choose(scores, k, valid):
            places = jnp.round(k * jnp.sum(valid, dtype=jnp.float32)).astype(jnp.int32)
            open_scores = jnp.where(valid[:, None], scores, -jnp.inf)
            return element_top_k(scores, k, valid), find_cut(open_scores, places, None)[1]

        yield jax.jit(choose).lower(NORMAL, np.float32(1), VALID).compile()
    jax.clear_caches()


def holes(scores, share):
    """With NaN and infinities at places of their own."""
    at = np.random.default_rng(1).random((ROWS, COLUMNS))
    scores = np.where(at < share, np.float32("nan"), scores)
    scores = np.where((at > share) & (at < 2 * share), np.float32("-inf"), scores)
    return np.where(at > 1 - share / 20, np.float32("inf"), scores)


@pytest.mark.parametrize(
    ("scores", "k", "is_enough"),
    [
        (NORMAL, 64.0, True),
        (NORMAL, 3.4, True),
        (NORMAL, 500.0, True),
        (holes(NORMAL, 0.1), 64.0, True),
        (np.round(NORMAL, 2), 64.0, True),  # some tie
        (np.round(NORMAL), 2000.0, False),  # thousands do
        (np.maximum(NORMAL, 0), 3000.0, False),
        (np.zeros_like(NORMAL), 16.0, False),
        (np.sort(NORMAL.ravel()).reshape(NORMAL.shape), 64.0, False),  # rows that are very unlike
        (holes(NORMAL, 0.1), 4096.0, False),  # fewer are left than places
        (np.full_like(NORMAL, np.nan), 16.0, False),
        (NORMAL, 0.0, False),
    ],
)
def test_selects_the_same_whether_one_pass_is_enough_or_not(on_a_tpu, scores, k, is_enough):
    (mask, threshold), was_enough = on_a_tpu(scores, np.float32(k), VALID)
    assert was_enough == is_enough
    expected = element_top_k(scores, k, VALID)
    np.testing.assert_array_equal(mask, expected.mask_BxD)
    np.testing.assert_array_equal(threshold, expected.threshold)
