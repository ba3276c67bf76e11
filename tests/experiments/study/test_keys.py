"""Keys: as committed rows had them, and apart for any two purposes."""

import itertools

import jax
import numpy as np
import pytest

from experiments.study.keys import study_key

COMMITTED = (
    *("latent", "likelihood", "mask", "mixture", "noise", "patterns", "prior", "probe"),
    "rate",
)


def bits(seed: int, purpose: str) -> bytes:
    return np.asarray(jax.random.key_data(study_key(seed, purpose))).tobytes()


@pytest.mark.parametrize("purpose", COMMITTED)
def test_a_purpose_of_committed_rows_keeps_its_key(purpose):
    expected = jax.random.fold_in(jax.random.key(3), int.from_bytes(purpose[:4].encode(), "big"))
    assert (jax.random.key_data(study_key(3, purpose)) == jax.random.key_data(expected)).all()


def test_keys_of_two_purposes_or_two_seeds_differ():
    purposes = (*COMMITTED, "mixed weights", "prior of the prior", "noise of the decoder")
    keys = {bits(seed, purpose) for seed, purpose in itertools.product((0, 1), purposes)}
    assert len(keys) == 2 * len(purposes)
