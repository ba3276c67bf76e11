"""VAEase against its equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.models import MLP, loss
from vae_topk_jax.config import Config
from vae_topk_jax.models import VAEase

MODEL = VAEase(**MLP)


@pytest.fixture(scope="module")
def x() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), (4, *MLP["image_shape"]))


@pytest.fixture(scope="module")
def variables(x) -> dict:
    variables = MODEL.init(jax.random.key(1), x)
    variables["params"]["log_gamma"] = jnp.float32(-1.5)
    return variables


def test_the_loss_is_the_bound_with_a_learnt_variance(variables, x):
    """At inference, where z is the mean; in training it is drawn."""
    mu, logvar = map(np.asarray, MODEL.apply(variables, x, method="posterior"))
    z = (1 - np.exp(logvar / 2)) * mu
    np.testing.assert_allclose(MODEL.apply(variables, x, method="encode"), z, atol=1e-6)
    np.testing.assert_allclose(MODEL.apply(variables, x, method="latents"), z, atol=1e-6)
    x_hat = np.asarray(MODEL.apply(variables, z, method="decode"))
    pixels = np.prod(MLP["image_shape"])
    squared = np.square(x_hat - x).sum(axis=(1, 2, 3))
    expected = 0.5 * (squared / np.exp(-1.5) + pixels * -1.5)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    (total, terms), _ = loss(MODEL, variables, x, train=False)
    np.testing.assert_allclose(terms["reconstruction"], expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(terms["kl"], kl.mean(), rtol=1e-4)
    np.testing.assert_allclose(total, (expected + kl).mean(), rtol=1e-5)


def test_a_latent_at_its_prior_adds_nothing():
    z, mu = jnp.full((1, 2), 3.0), jnp.zeros((1, 2))
    code = MODEL.bottleneck(z, mu, jnp.zeros((1, 2)), use_running_average=True)
    np.testing.assert_array_equal(code.z_BxD, 0)


@pytest.mark.parametrize("name", ["beta", "likelihood", "pixel_reduction"])
def test_what_the_bound_fixes_cannot_be_set(name):
    with pytest.raises(ValueError, match=f"{name} is not a field of vaease"):
        Config(model="vaease", **{name: 1.0})
