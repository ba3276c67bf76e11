"""SAEs that standardise their inputs, in the files of libraries that do not."""

from collections.abc import Callable

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from vae_topk_jax.interop import (
    SAE,
    in_input_units,
    load_dictionary_learning,
    load_saelens,
    save_dictionary_learning,
    save_saelens,
)
from vae_topk_jax.models import BatchTopKSAE

D, F, K = 10, 6, 3
SAVED: dict[str, tuple[Callable, Callable]] = {
    "dictionary_learning": (save_dictionary_learning, load_dictionary_learning),
    "saelens": (save_saelens, load_saelens),
}


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> jnp.ndarray:
    return jnp.asarray(rng.normal(0, scale, shape), jnp.float32)


@pytest.fixture
def sae() -> SAE:
    """Random weights, and values of an input of unlike scales far from zero."""
    rng = np.random.default_rng(0)
    params = {
        "W_enc": normal(rng, F, D),
        "b_enc": normal(rng, D),
        "W_dec": normal(rng, D, F),
        "b_dec": normal(rng, F),
    }
    scale = jnp.asarray(np.logspace(-1, 2, F)[None, None], jnp.float32)
    top_k = {
        "importance": jnp.zeros(D),
        "frequency": jnp.full(D, K / D),
        "threshold": jnp.float32(0.4),
        "count": jnp.int32(1),
    }
    stats = {
        "standardization": {"shift": normal(rng, 1, 1, F, scale=30), "scale": scale},
        "batch_top_k": top_k,
        "silent": jnp.zeros(D, jnp.int32),
        "mean_code": jnp.zeros(D),
    }
    model = BatchTopKSAE((1, 1, F), D, k=K, standardize="feature")
    return SAE(model, {"params": params, "batch_stats": stats})


@pytest.mark.parametrize("library", SAVED)
def test_shift_and_scale_are_folded_into_the_weights_of_a_file(sae, library, tmp_path):
    save, read = SAVED[library]
    save(tmp_path / "sae", sae)
    again = read(tmp_path / "sae")
    assert again.model.standardize == "none"

    stats = sae.variables["batch_stats"]["standardization"]
    x = stats["shift"][None] + stats["scale"][None] * normal(np.random.default_rng(1), 50, 1, 1, F)
    for method in ("encode", "reconstruct"):
        ours, theirs = (one.model.apply(one.variables, x, method=method) for one in (sae, again))
        assert np.count_nonzero(ours) > 0
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-2)
    chex.assert_trees_all_equal(in_input_units(again), again.variables["params"])
