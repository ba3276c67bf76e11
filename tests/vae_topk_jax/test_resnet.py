"""The residual body: as many levels as a size wants, against a reference in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal, special

from vae_topk_jax import VAE
from vae_topk_jax.resnet import (
    NormalizedSwish,
    ResidualBlock,
    ResNetDecoder,
    ResNetEncoder,
    level_channels,
)


@pytest.mark.parametrize(
    ("sides", "levels"),
    [
        *[((2, 1), 1), ((4, 4), 1), ((8, 8), 1), ((9, 2), 2), ((28, 28), 3), ((32, 32), 3)],
        *[((33, 5), 4), ((17, 31), 3), ((64, 64), 4), ((128, 128), 5), ((3, 129), 6)],
    ],
    ids=str,
)
def test_levels_end_where_the_longer_side_has_4_pixels_or_fewer(sides, levels):
    assert level_channels((8,), (*sides, 3)) == (8,) * levels
    longer = max(sides)
    for _ in range(levels):
        assert longer > 4 or levels == 1
        longer = -(-longer // 2)
    assert longer <= 4


def test_more_widths_than_levels_are_refused():
    message = r"widths must have at most 3 items with body 'resnet' for images of 17 x 31, got 4"
    with pytest.raises(ValueError, match=message):
        level_channels((8, 8, 8, 8), (17, 31, 3))


@pytest.mark.parametrize("shape", [(17, 31, 3), (1, 9, 2), (64, 33, 1), (128, 128, 3)], ids=str)
def test_any_size_and_channel_count_goes_in_and_comes_out(shape):
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    h, _ = jax.eval_shape(ResNetEncoder((16, 32)).init_with_output, jax.random.key(0), x)
    rows, columns = (-(-side // 2 ** len(level_channels((1,), shape))) for side in shape[:2])
    assert h.shape == (2, rows * columns * 32)
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    decoder = ResNetDecoder(shape, (16, 32), jnp.bfloat16)
    y, variables = jax.eval_shape(decoder.init_with_output, jax.random.key(0), z)
    assert (y.shape, y.dtype) == ((2, *shape), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def normalised_swish(x_HxWxC: np.ndarray, size: int) -> np.ndarray:
    groups = x_HxWxC.reshape(*x_HxWxC.shape[:2], -1, size)
    mean, variance = groups.mean((0, 1, 3), keepdims=True), groups.var((0, 1, 3), keepdims=True)
    x_HxWxC = ((groups - mean) / np.sqrt(variance + 1e-6)).reshape(x_HxWxC.shape)
    return x_HxWxC * special.expit(x_HxWxC)


@pytest.mark.parametrize(("channels", "size"), [(32, 16), (24, 24)])
def test_a_group_has_16_channels_where_that_divides_them(channels, size):
    x = np.random.default_rng(0).normal(3, 2, (2, 3, 4, channels)).astype(np.float32)
    y, _ = NormalizedSwish().init_with_output(jax.random.key(0), x)
    expected = [normalised_swish(image.astype(np.float64), size) for image in x]
    np.testing.assert_allclose(y, expected, atol=2e-5)


def test_a_block_adds_two_convolutions_to_its_input():
    x = np.random.default_rng(1).normal(size=(1, 5, 4, 3)).astype(np.float32)
    y, variables = ResidualBlock().init_with_output(jax.random.key(0), x)
    h = x[0].astype(np.float64)
    for layer in ("SameConv_0", "SameConv_1"):
        kernel = np.asarray(variables["params"][layer]["kernel"])
        padded = np.pad(normalised_swish(h, 3), ((1, 1), (1, 1), (0, 0)))
        maps = [signal.correlate(padded, kernel[..., o], "valid")[..., 0] for o in range(3)]
        h = np.stack(maps, axis=-1)
    np.testing.assert_allclose(y[0], x[0] + h, atol=1e-5)


def test_an_odd_image_has_finite_gradients_and_no_batch_mates():
    model = VAE((9, 5, 3), latent_dim=3, body="resnet", widths=(4,))
    x = jax.random.uniform(jax.random.key(0), (4, 9, 5, 3))
    variables = jax.jit(model.init)(jax.random.key(1), x)

    @jax.jit
    def error(params, x):
        return jnp.square(model.apply({"params": params}, x) - x).sum((1, 2, 3))

    others = x.at[1:].set(0.5)
    assert error(variables["params"], x)[0] == error(variables["params"], others)[0]
    grads = jax.jit(jax.grad(lambda params: error(params, x).sum()))(variables["params"])
    leaves = jax.tree.leaves({name: grads[name] for name in ("encoder", "decoder")})
    assert all(np.isfinite(leaf).all() and np.any(leaf) for leaf in leaves)
