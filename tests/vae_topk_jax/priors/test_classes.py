"""Priors of classes: codes of the class that is asked for, and of all as often as in examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.params import long_but
from vae_topk_jax.priors import mixture
from vae_topk_jax.priors.prior import Drawn, Examples, draw, draw_labelled
from vae_topk_jax.priors.registry import PRIORS

SMALL = {"width": 16, "batch_size": 64, "learning_rate": 1e-2, "steps": 1000}
SETTINGS = {
    "vamp": {"pseudo_codes": 30},
    "two_stage": SMALL,
    "flow": SMALL | {"blocks": 1, "clusters": 4},
    "autoregressive": SMALL | {"blocks": 1, "components": 2},
}


@pytest.fixture(scope="module")
def examples() -> Examples:
    """The third of three classes shares its support with the first, the values of neither."""
    rng = np.random.default_rng(0)
    class_N = rng.permutation(np.repeat(np.arange(3, dtype=np.int32), [500, 300, 200]))
    centre_YxD = np.array([[6, -4, 0, 0], [0, 0, -2, 5], [1, -9, 0, 0]])
    codes = centre_YxD[class_N] + rng.normal(0, 0.3, (1000, 4)) * (centre_YxD[class_N] != 0)
    return Examples.of(codes, class_N=class_N)


@pytest.mark.parametrize("name", long_but(("patterns", "vamp"), PRIORS))
def test_codes_are_of_the_class_that_is_asked_for(examples, monkeypatch, name):
    monkeypatch.setattr(mixture, "CANDIDATES", (("diag", 1),))
    prior = PRIORS[name].fit(examples, jax.random.key(0), **SETTINGS.get(name, {}))
    assert prior.classes == 3
    codes, key = examples.codes_NxD, jax.random.key(1)
    centre_YxD = np.stack([codes[examples.class_N == y].mean(0) for y in range(3)])

    def found(drawn: jax.Array) -> np.ndarray:
        away_NxY = np.linalg.norm(np.asarray(drawn)[:, None] - centre_YxD[None], axis=2)
        return away_NxY.argmin(axis=1)

    class_N = np.arange(600, dtype=np.int32) % 3
    drawn = draw(prior, key, 600, class_N)
    assert (found(drawn) == class_N).mean() > 0.97
    supports = (np.asarray(drawn) != 0) == (centre_YxD[class_N] != 0)
    assert supports.all(axis=1).mean() > 0.97
    np.testing.assert_array_equal(draw(prior, key, 7, class_N[:7]), drawn[:7])
    shares = np.bincount(found(draw(prior, key, 3000)), minlength=3) / 3000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.03)


@pytest.mark.parametrize("name", long_but(("patterns",), PRIORS))
def test_a_wider_precision_mode_changes_nothing(examples, monkeypatch, name):
    monkeypatch.setattr(mixture, "CANDIDATES", (("diag", 1),))
    settings = SETTINGS.get(name, {})
    settings = settings | {"steps": 20} if "steps" in settings else settings

    def drawn() -> Drawn:
        prior = PRIORS[name].fit(examples, jax.random.key(0), **settings)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(prior)} <= {"float32", "int32", "bool"}
        return draw_labelled(prior, jax.random.key(1), 150)

    narrow = drawn()
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        wide = drawn()
    assert (wide.z_NxD.dtype, wide.class_N.dtype) == ("float32", "int32")
    np.testing.assert_array_equal(wide.class_N, narrow.class_N)
    np.testing.assert_allclose(wide.z_NxD, narrow.z_NxD, rtol=1e-4, atol=1e-4)


def test_a_class_without_examples_is_refused():
    with pytest.raises(ValueError, match=r"each of the 3 classes in some example, got none of \[1"):
        Examples.of(np.ones((2, 2)), class_N=np.array([0, 2]))


def test_a_mixture_needs_examples_of_every_class(examples):
    few = Examples.of(examples.codes_NxD[:25], class_N=np.arange(25, dtype=np.int32) // 20)
    with pytest.raises(ValueError, match=r"latents of each class must be at least 20 .*, got 5"):
        PRIORS["mixture"].fit(few, jax.random.key(0))


def test_a_prior_that_tells_no_classes_apart_draws_the_same_for_each(sparse_codes):
    prior = PRIORS["patterns"].fit(Examples.of(sparse_codes), jax.random.key(0))
    asked = draw(prior, jax.random.key(1), 5, np.arange(5, dtype=np.int32))
    assert jnp.array_equal(asked, draw(prior, jax.random.key(1), 5))
