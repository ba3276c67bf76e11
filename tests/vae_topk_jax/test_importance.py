"""Importances against NumPy, padding, splitting and their blind spots."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.importance import IMPORTANCES, resolve

AXIS = "devices"


def numpy_importance(name: str, z: np.ndarray, mu: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    variance = np.exp(logvar)
    return {
        "mean_abs_z": lambda: np.abs(z).mean(0),
        "mean_abs_mu": lambda: np.abs(mu).mean(0),
        "kl": lambda: (0.5 * (mu**2 + variance - 1 - logvar)).mean(0),
        "signal_to_noise": lambda: (mu**2).mean(0) / variance.mean(0),
        "fixed": lambda: np.asarray(jax.random.permutation(jax.random.key(0), mu.shape[1])),
    }[name]()


def posterior(seed: int, shape: tuple[int, int] = (32, 5)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(0.3, 1.0, shape).astype(np.float32) for _ in range(3))


@pytest.fixture(params=sorted(IMPORTANCES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_agrees_with_numpy(name: str):
    batch = posterior(0)
    np.testing.assert_allclose(
        IMPORTANCES[name](*map(jnp.asarray, batch)), numpy_importance(name, *batch), rtol=1e-5
    )


def test_padding_never_counts(name: str):
    batch = [jnp.asarray(x) for x in posterior(1)]
    padded = [jnp.concatenate([x, jnp.full((7, 5), 1e4)]) for x in batch]
    valid = jnp.arange(39) < 32
    whole = IMPORTANCES[name](*batch)
    np.testing.assert_allclose(IMPORTANCES[name](*padded, valid_B=valid), whole, rtol=1e-5)


def test_padding_may_hold_nan(name: str):
    batch = [jnp.asarray(x) for x in posterior(1)]
    padded = [x.at[-1].set(jnp.nan) for x in batch]
    valid = jnp.arange(32) < 31
    assert np.isfinite(IMPORTANCES[name](*padded, valid_B=valid)).all()


def test_padding_that_overflows_has_no_gradient(name: str):
    batch = [jnp.asarray(x) for x in posterior(1)]
    batch[2] = batch[2].at[-1].set(100.0)
    valid = jnp.arange(32) < 31
    slopes = jax.grad(lambda *x: IMPORTANCES[name](*x, valid_B=valid).sum(), (0, 1, 2))(*batch)
    assert np.isfinite(slopes).all()
    np.testing.assert_array_equal(np.asarray(slopes)[:, -1], 0)


@pytest.mark.parametrize("masked", [False, True])
def test_a_split_batch_counts_as_one(name: str, masked: bool):
    batch = [jnp.asarray(x) for x in posterior(2)]
    valid = jnp.asarray(np.random.default_rng(3).random(32) < 0.7) if masked else None
    whole = IMPORTANCES[name](*batch, valid_B=valid)

    split = [x.reshape(4, 8, 5) for x in batch] + ([valid.reshape(4, 8)] if masked else [])
    mapped = jax.vmap(functools.partial(IMPORTANCES[name], axis_name=AXIS), axis_name=AXIS)
    for shard in mapped(*split):
        np.testing.assert_allclose(shard, whole, rtol=1e-5)


def test_statistics_are_float32(name: str):
    batch = [jnp.asarray(x, jnp.bfloat16) for x in posterior(4)]
    assert IMPORTANCES[name](*batch).dtype == jnp.float32


def test_jit_and_order_of_examples_change_nothing(name: str):
    batch = [jnp.asarray(x) for x in posterior(5)]
    shuffled = [x[::-1] for x in batch]
    np.testing.assert_allclose(
        jax.jit(IMPORTANCES[name])(*shuffled), IMPORTANCES[name](*batch), rtol=1e-5
    )


def test_only_the_rule_on_the_sample_takes_a_collapsed_dimension_for_an_informative_one():
    """A collapsed dimension (N(0, 1) for every input) against an informative one, |mu| = 0.6."""
    rng = np.random.default_rng(6)
    mu = np.stack([np.zeros(4000), 0.6 * np.sign(rng.normal(size=4000))], axis=1)
    logvar = np.stack([np.zeros(4000), np.full(4000, np.log(0.01))], axis=1)
    z = mu + np.exp(logvar / 2) * rng.normal(size=mu.shape)
    batch = [jnp.asarray(x, jnp.float32) for x in (z, mu, logvar)]
    fooled = {
        name for name in IMPORTANCES.keys() - {"fixed"} if np.argmax(IMPORTANCES[name](*batch)) == 0
    }
    assert fooled == {"mean_abs_z"}


def test_unknown_name_is_named():
    with pytest.raises(ValueError, match=r"importance must be .*'mean_abs_mu'.* got 'size'"):
        resolve("size")


@pytest.mark.parametrize("name", IMPORTANCES)
def test_leading_axes_are_one_batch(name):
    batch, valid = posterior(3), np.arange(32) % 3 < 2
    maps = [x.reshape(4, 2, 4, 5) for x in batch]
    whole = IMPORTANCES[name](*batch, valid)
    np.testing.assert_array_equal(IMPORTANCES[name](*maps, valid.reshape(4, 2, 4)), whole)
