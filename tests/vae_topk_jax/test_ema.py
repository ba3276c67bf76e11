"""The running average against its definition."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax import update_ema


def run(values: np.ndarray, decay: float, start: float = 0.0) -> np.ndarray:
    ema = jnp.full(values.shape[1:], start)
    for count, value in enumerate(values):
        ema = update_ema(ema, jnp.asarray(value), count, decay)
    return np.asarray(ema)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def test_is_the_plain_mean_at_first(values: np.ndarray):
    np.testing.assert_allclose(run(values, decay=0.99), values.mean(0), atol=1e-6)


def test_is_exponential_later(values: np.ndarray):
    before, after = run(values[:-1], decay=0.5), run(values, decay=0.5)
    np.testing.assert_allclose(after, 0.5 * before + 0.5 * values[-1], rtol=1e-6)


def test_forgets_its_initial_value(values: np.ndarray):
    expected = run(values, 0.9, start=0.0)
    for start in (1e6, np.inf, np.nan):
        np.testing.assert_array_equal(run(values, 0.9, start), expected)


def test_stays_within_what_it_has_seen(values: np.ndarray):
    ema = run(values, decay=0.8)
    assert (ema >= values.min(0)).all()
    assert (ema <= values.max(0)).all()


def test_is_float32_for_any_type():
    ema = update_ema(jnp.zeros(3), jnp.ones(3, jnp.bfloat16), 0, 0.9)
    assert ema.dtype == jnp.float32


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, float("nan")])
def test_bad_decay_is_named(decay: float):
    with pytest.raises(ValueError, match="decay must lie in"):
        update_ema(jnp.zeros(2), jnp.zeros(2), 0, decay)


def test_other_shape_is_named():
    with pytest.raises(ValueError, match=r"shape of ema, \(2,\), got \(3,\)"):
        update_ema(jnp.zeros(2), jnp.zeros(3), 0, 0.9)


@pytest.mark.parametrize("start", [3.0, -np.inf, np.nan])
def test_without_decay_it_is_the_last_value_whatever_came_before(values: np.ndarray, start: float):
    np.testing.assert_array_equal(run(values, 0.0, start), values[-1])
    average = jnp.full(4, start)
    np.testing.assert_array_equal(update_ema(average, jnp.asarray(values[0]), 1, 0.0), values[0])
