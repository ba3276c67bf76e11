"""The decoder's sensitivity against its Jacobian."""

import chex
import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.sensitivity import DecoderSensitivity

B, D = 8, 3


@pytest.fixture
def z() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (B, D))


def decoder(outputs: int):
    """Dimension by dimension less sensitive, and not at all to the last one."""
    weight = jax.random.normal(jax.random.key(1), (D, outputs))
    weight_DxP = weight * jnp.array([[3.0], [1.0], [0.0]])
    return lambda z_BxD: jnp.tanh(z_BxD @ weight_DxP).reshape(-1, outputs, 1)


def jacobian_norms(decode, z: jax.Array) -> np.ndarray:
    jacobian = jax.vmap(jax.jacobian(lambda z_D: decode(z_D[None])[0]))(z)
    return np.sqrt(np.mean(np.sum(np.square(jacobian), axis=(1, 2)), axis=0))


def observe(layer: DecoderSensitivity, variables: dict, decode, z, seed, valid=None) -> dict:
    args = (decode, z, jax.random.key(seed), valid)
    return layer.apply(variables, *args, method="observe", mutable="batch_stats")[1]


def initial(layer: DecoderSensitivity) -> dict:
    return layer.init(jax.random.key(0))


def test_is_one_before_the_first_estimate():
    layer = DecoderSensitivity(D, every=1, decay=0.9)
    np.testing.assert_array_equal(layer.apply(initial(layer)), np.ones(D))


def test_one_output_is_exact_in_one_estimate(z):
    layer, decode = DecoderSensitivity(D, every=1, decay=0.9), decoder(1)
    estimate = layer.apply(observe(layer, initial(layer), decode, z, 0))
    np.testing.assert_allclose(estimate, jacobian_norms(decode, z), rtol=1e-5)


def test_many_estimates_average_to_the_norms_of_the_jacobian(z):
    layer, decode = DecoderSensitivity(D, every=1, decay=0.999), decoder(20)
    variables, _ = jax.lax.scan(
        lambda variables, seed: (observe(layer, variables, decode, z, seed), None),
        initial(layer),
        jnp.arange(900),
    )
    np.testing.assert_allclose(layer.apply(variables), jacobian_norms(decode, z), rtol=0.05)


def test_estimates_only_on_every_nth_batch(z):
    layer = DecoderSensitivity(D, every=3, decay=0.9)
    variables, seen = initial(layer), []
    for seed in range(7):
        variables = observe(layer, variables, decoder(5), z, seed)
        seen.append(float(layer.apply(variables)[0]))
    changed = [0] + [i for i in range(1, 7) if seen[i] != seen[i - 1]]
    assert changed == [0, 3, 6]
    assert variables["batch_stats"]["calls"] == 7


@pytest.mark.parametrize("outputs", [1, 20])
@pytest.mark.parametrize("padding", [5.0, np.nan])
def test_padding_never_counts(z, padding, outputs):
    layer, decode = DecoderSensitivity(D, every=1, decay=0.9), decoder(outputs)
    padded, valid = jnp.pad(z, ((0, 3), (0, 0)), constant_values=padding), jnp.arange(B + 3) < B
    estimate = layer.apply(observe(layer, initial(layer), decode, padded, 0, valid))
    alone = layer.apply(observe(layer, initial(layer), decode, z, 0))
    np.testing.assert_allclose(estimate, alone, rtol=1e-5)


@pytest.mark.parametrize("spoilt_call", [0, 1])
def test_an_estimate_that_is_not_finite_is_left_out(z, spoilt_call):
    layer, decode = DecoderSensitivity(D, every=1, decay=0.9), decoder(1)
    variables = initial(layer)
    for call in range(2):
        codes = z.at[0, 0].set(jnp.nan) if call == spoilt_call else z
        variables = observe(layer, variables, decode, codes, seed=call)
    np.testing.assert_allclose(layer.apply(variables), jacobian_norms(decode, z), rtol=1e-5)


def test_an_observation_that_could_not_be_kept_is_refused(z):
    layer = DecoderSensitivity(D, every=1, decay=0.9)
    args = (decoder(5), z, jax.random.key(0))
    with pytest.raises(flax.errors.ModifyScopeVariableError):
        layer.apply(initial(layer), *args, method="observe")
    initialised = layer.init(jax.random.key(0), *args, method="observe")
    chex.assert_trees_all_equal(initialised, initial(layer))
