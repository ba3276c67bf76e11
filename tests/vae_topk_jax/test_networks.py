"""Bodies: the strided layers are flax's own, parameter for parameter and gradient for gradient."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from vae_topk_jax.convolution import Conv, ConvTranspose, SameConv
from vae_topk_jax.networks import ConvDecoder, ConvEncoder

FLAX = {
    Conv: functools.partial(nn.Conv, kernel_size=(4, 4), strides=(2, 2)),
    ConvTranspose: functools.partial(nn.ConvTranspose, kernel_size=(4, 4), strides=(2, 2)),
    SameConv: functools.partial(nn.Conv, kernel_size=(3, 3)),
}
LAYERS = pytest.mark.parametrize("layer", FLAX)


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@functools.partial(jax.jit, static_argnums=0)
def pull_back(layer: nn.Module, params: dict, x: jax.Array) -> tuple:
    """The layer's output, and the gradients of one weighted sum of it by parameters and input."""
    y, vjp = jax.vjp(lambda params, x: layer.apply({"params": params}, x), params, x)
    return y, vjp(normal(*y.shape, seed=1).astype(y.dtype))


def compare_to_flax(layer, shape, dtype=jnp.float32, **tolerance):
    x = normal(*shape).astype(dtype)
    params = {"kernel": normal(layer.side, layer.side, shape[-1], 5), "bias": normal(5)}
    ours = pull_back(layer(5, dtype=dtype), params, x)
    theirs = pull_back(FLAX[layer](5, dtype=dtype), params, x)
    chex.assert_trees_all_equal_dtypes(ours, theirs)
    chex.assert_trees_all_close(ours, theirs, **tolerance)


@LAYERS
@pytest.mark.parametrize(
    "image_shape", [(28, 28, 1), (7, 7, 3), (14, 9, 2), (13, 32, 3), (1, 2, 1)], ids=str
)
def test_a_layer_equals_that_of_flax(layer, image_shape):
    compare_to_flax(layer, (3, *image_shape), rtol=1e-5, atol=1e-4)


@LAYERS
def test_a_layer_equals_that_of_flax_in_bfloat16(layer):
    compare_to_flax(layer, (3, 9, 8, 2), jnp.bfloat16, rtol=0.02, atol=0.1)


@LAYERS
def test_a_layer_equals_that_of_flax_on_other_backends(layer, monkeypatch):
    def elsewhere(*args, cpu, default):
        return default(*args)

    monkeypatch.setattr(jax.lax, "platform_dependent", elsewhere)
    compare_to_flax(layer, (3, 9, 8, 2), rtol=1e-6, atol=1e-6)


@LAYERS
def test_programs_for_accelerators_do_not_have_the_gradient_of_a_cpu(layer):
    def transposes(platform):
        params = {"kernel": normal(layer.side, layer.side, 2, 5), "bias": normal(5)}
        gradient = jax.jit(functools.partial(pull_back, layer(5)))
        program = jax_export.export(gradient, platforms=[platform])(params, normal(3, 8, 8, 2))
        return program.mlir_module().count("stablehlo.transpose")

    assert transposes("cpu") > 0 == transposes("tpu") == transposes("cuda")


@LAYERS
def test_a_layer_begins_as_that_of_flax(layer):
    x, key = normal(1, 4, 4, 2), jax.random.key(0)
    chex.assert_trees_all_equal(layer(5).init(key, x), FLAX[layer](5).init(key, x))


def shapes_of(body: nn.Module, x: jax.Array) -> dict:
    return jax.tree.map(jnp.shape, jax.eval_shape(body.init, jax.random.key(0), x)["params"])


def test_parameters_are_named_as_flax_names_its_own():
    assert shapes_of(ConvEncoder((4, 6)), jnp.zeros((1, 10, 9, 3))) == {
        "Conv_0": {"kernel": (4, 4, 3, 4), "bias": (4,)},
        "Conv_1": {"kernel": (4, 4, 4, 6), "bias": (6,)},
    }
    assert shapes_of(ConvDecoder((10, 9, 3), (4, 6)), jnp.zeros((1, 7))) == {
        "Dense_0": {"kernel": (7, 3 * 3 * 6), "bias": (3 * 3 * 6,)},
        "ConvTranspose_0": {"kernel": (4, 4, 6, 4), "bias": (4,)},
        "ConvTranspose_1": {"kernel": (4, 4, 4, 3), "bias": (3,)},
    }
