"""FactorVAE: who learns from what, and what the discriminator comes to know."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_topk_jax import Config
from vae_topk_jax.models import BetaVAE, FactorVAE
from vae_topk_jax.models.factor_vae import Discriminator, permute_dims

SIZES = {
    "image_shape": (2, 2, 1),
    "latent_dim": 3,
    "widths": (4,),
    "beta_warmup": 0.0,
    "latent_reduction": "sum",
}
MODEL = FactorVAE(**SIZES, beta=0.5, tc_weight=3.0, discriminator_widths=(5,))


@pytest.fixture(scope="module")
def x():
    return jax.random.uniform(jax.random.key(0), (6, 2, 2, 1))


@pytest.fixture(scope="module")
def variables(x):
    return jax.jit(MODEL.init)(jax.random.key(1), x)


def test_each_part_learns_from_its_own_terms_alone(x, variables):
    """The gradients are those of two losses, each by its own parameters."""
    rngs = {"latent": jax.random.key(2)}

    def terms_of(params):
        return MODEL.apply({"params": params}, x, x, train=True, method="loss", rngs=rngs)[1]

    @jax.jit
    def gradients(params):
        names = ("loss", "reconstruction", "kl", "total_correlation", "discriminator")
        return {name: jax.grad(lambda p, name=name: terms_of(p)[name])(params) for name in names}

    found = gradients(variables["params"])
    for term, gradient in found.items():
        judge = optax.tree.norm(gradient["discriminator"])
        rest = optax.tree.norm({n: g for n, g in gradient.items() if n != "discriminator"})
        assert (judge > 0) == (term in ("loss", "discriminator")), term
        assert (rest > 0) == (term != "discriminator"), term
    weighted = jax.tree.map(
        lambda r, k, c, d: r + 0.5 * (k + 3.0 * c) + d,
        *(found[n] for n in ("reconstruction", "kl", "total_correlation", "discriminator")),
    )
    for ours, expected in zip(*map(jax.tree.leaves, (found["loss"], weighted)), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_at_inference_it_is_a_beta_vae(x, variables):
    plain = BetaVAE(**SIZES, beta=0.5)
    loss, terms = MODEL.apply(variables, x, x, train=False, method="loss")
    without = {n: p for n, p in variables["params"].items() if n != "discriminator"}
    expected, _ = plain.apply({"params": without}, x, x, train=False, method="loss")
    assert sorted(terms) == ["kl", "loss", "reconstruction"]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_the_discriminator_has_an_adam_of_its_own(variables):
    """It moves by its own rate, the rest as the optimizer of the configuration says."""
    params = variables["params"]
    optimizer = FactorVAE.optimizer(optax.sgd(0.25))
    ones = jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"):  # as in a step
        updates, _ = optimizer.update(ones, optimizer.init(params), params)
    for name, moved in updates.items():
        expected = -1e-4 if name == "discriminator" else -0.25
        for leaf in jax.tree.leaves(moved):
            np.testing.assert_allclose(leaf, expected, rtol=1e-4)


def test_the_logit_of_a_trained_discriminator_is_the_known_total_correlation():
    """Of a Gaussian with correlation r it is -log(1 - r^2) / 2."""
    correlation, size = 0.8, 1000
    judge = Discriminator((16,))
    root = jnp.asarray(np.linalg.cholesky([[1, correlation], [correlation, 1]]), jnp.float32)
    params = judge.init(jax.random.key(0), jnp.zeros((1, 2)))
    optimizer = optax.adam(1e-2)

    def draw(key):
        return jax.random.normal(key, (size, 2), jnp.float32) @ root.T

    def step(state, key):
        params, moments = state
        z_key, order_key = jax.random.split(key)
        z_BxD = draw(z_key)
        shuffled_BxD = permute_dims(z_BxD, order_key)

        def entropy(params):
            real_B, false_B = (judge.apply(params, z) for z in (z_BxD, shuffled_BxD))
            return jnp.mean(jax.nn.softplus(-real_B) + jax.nn.softplus(false_B))

        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(jax.grad(entropy)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    @jax.jit
    def trained(params):
        keys = jax.random.split(jax.random.key(1), 400)
        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), keys)
        return jnp.mean(judge.apply(params, draw(jax.random.key(2))))

    assert float(trained(params)) == pytest.approx(-np.log(1 - correlation**2) / 2, abs=0.08)


def test_shuffled_codes_keep_each_latent_and_lose_what_binds_them():
    z_BxD = jnp.arange(500.0)[:, None] * jnp.array([[1.0, 10.0, -1.0]])
    shuffled = np.asarray(permute_dims(z_BxD, jax.random.key(0)))
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(z_BxD, axis=0))
    assert np.abs(np.corrcoef(shuffled.T) - np.eye(3)).max() < 0.15
    valid_B = jnp.arange(500) % 5 != 0
    among = np.asarray(permute_dims(z_BxD, jax.random.key(0), valid_B))[np.asarray(valid_B)]
    np.testing.assert_array_equal(np.sort(among, axis=0), np.sort(z_BxD[valid_B], axis=0))


def test_what_is_no_weight_is_refused():
    with pytest.raises(ValueError, match="tc_weight"):
        Config(model="factor_vae", tc_weight=-1.0)
    with pytest.raises(ValueError, match="discriminator_widths"):
        Config(model="factor_vae", discriminator_widths=(0,))
