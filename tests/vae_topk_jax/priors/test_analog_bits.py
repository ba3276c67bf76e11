"""Sparse codes as dense vectors and back: values, supports, exact zeros."""

import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.priors.analog_bits import AnalogBits
from vae_topk_jax.priors.supports import Supports

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(50, 6)).astype(np.float32)
ANY = RNG.random((50, 6)) < 0.4
THREE = np.argsort(np.argsort(-SCORES, axis=1), axis=1) < 3
ONE_OF_TWO = np.repeat(SCORES[:, ::2] > SCORES[:, 1::2], 2, axis=1) ^ (np.arange(6) % 2 == 1)


@pytest.mark.parametrize("active_NxD", [ANY, THREE, ONE_OF_TWO], ids=["any", "three", "slots"])
def test_codes_come_back_and_scores_keep_the_rule_of_the_supports(active_NxD):
    codes = np.where(active_NxD, RNG.normal(2, 3, active_NxD.shape), 0).astype(np.float32)
    codes = np.insert(codes, 2, 0, axis=1) if active_NxD is not ONE_OF_TWO else codes
    bits = AnalogBits.of(codes)
    x_NxR = bits.encode(codes)
    again = np.asarray(bits.decode(jnp.asarray(x_NxR)))
    np.testing.assert_array_equal(again != 0, codes != 0)
    np.testing.assert_allclose(again, codes, rtol=1e-5, atol=1e-5)
    assert bits.size == 2 * active_NxD.shape[1]
    for value, bit in zip(*np.split(x_NxR.T, 2), strict=True):
        assert abs(value[bit > 0].mean()) < 1e-5
        np.testing.assert_allclose(value[bit > 0].std(), 1, rtol=1e-4)

    found = np.asarray(Supports.of(active_NxD).mask(jnp.asarray(SCORES)))
    expected = {id(ANY): SCORES > 0, id(THREE): THREE, id(ONE_OF_TWO): ONE_OF_TWO}
    np.testing.assert_array_equal(found, expected[id(active_NxD)])


def test_latents_without_zeros_have_no_bits_and_always_active_ones_count():
    dense = RNG.normal(size=(9, 3)).astype(np.float32)
    assert AnalogBits.of(dense).encode(dense).shape == (9, 3)
    active_NxD = np.insert(THREE, 0, True, axis=1)
    supports = Supports.of(active_NxD)
    assert set(supports.count_V.tolist()) == {3}
    codes = np.where(active_NxD, 2.0, 0.0)
    x_NxR = AnalogBits.of(codes).encode(codes)
    assert x_NxR.shape == (50, 7 + 6)


def test_codes_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match="codes must not all be zero"):
        AnalogBits.of(np.zeros((3, 2)))
