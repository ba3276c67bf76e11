"""PSNR against its definition, SSIM against scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from vae_topk_jax.metrics import psnr, psnr_of_mean_error, ssim
from vae_topk_jax.metrics.image import CHUNK

METRICS = {"psnr": psnr, "psnr_of_mean_error": psnr_of_mean_error, "ssim": ssim}


def noisy_pair(shape, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random(shape, np.float32)
    y = np.clip(x + rng.normal(0, noise, shape), 0, 1).astype(np.float32)
    return x, y


def reference_ssim(x_HxWxC, y_HxWxC):
    return structural_similarity(
        x_HxWxC.astype(np.float64),
        y_HxWxC.astype(np.float64),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        win_size=11,
        data_range=1,
        channel_axis=-1,
    )


@pytest.mark.parametrize("shape", [(5, 28, 28, 1), (3, 11, 17, 3), (2, 32, 13, 2)])
def test_ssim_agrees_with_scikit_image(shape):
    x, y = noisy_pair(shape)
    expected = [reference_ssim(x_n, y_n) for x_n, y_n in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y), expected, atol=2e-6)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_ssim_agrees_with_scikit_image_on_flat_images(level):
    x, _ = noisy_pair((2, 16, 16, 1))
    flat = np.full_like(x, level)
    expected = [reference_ssim(flat_n, x_n) for flat_n, x_n in zip(flat, x, strict=True)]
    np.testing.assert_allclose(ssim(flat, x), expected, atol=2e-6)
    np.testing.assert_allclose(ssim(flat, flat), 1, atol=1e-6)


@pytest.mark.parametrize("count", [1, CHUNK, 2 * CHUNK + 3])
def test_ssim_of_an_image_does_not_depend_on_its_chunk(count):
    x, y = noisy_pair((count, 12, 12, 1))
    whole = np.asarray(ssim(x, y))
    assert whole.shape == (count,)
    np.testing.assert_allclose(whole[-1], ssim(x[-1:], y[-1:])[0], atol=1e-6)
    np.testing.assert_allclose(whole[0], ssim(x[:1], y[:1])[0], atol=1e-6)


@pytest.mark.parametrize("error", [1.0, 0.1, 0.001])
def test_psnr_of_a_constant_error(error):
    x = np.zeros((3, 7, 5, 2), np.float32)
    np.testing.assert_allclose(psnr(x, x + error), -20 * np.log10(error), rtol=1e-5)
    np.testing.assert_allclose(psnr_of_mean_error(x, x + error), -20 * np.log10(error), rtol=1e-5)


def test_psnr_follows_its_definitions():
    x, y = noisy_pair((6, 8, 9, 3))
    error_N = ((x.astype(np.float64) - y) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(psnr(x, y), 10 * np.log10(1 / error_N), rtol=1e-5)
    np.testing.assert_allclose(
        psnr_of_mean_error(x, y), 10 * np.log10(1 / error_N.mean()), rtol=1e-5
    )


def test_one_bad_image_moves_the_psnr_of_the_mean_error_most():
    x, y = noisy_pair((10, 8, 8, 1), noise=0.01)
    y[0] = 1 - y[0]
    assert psnr_of_mean_error(x, y) < np.mean(psnr(x, y)) - 10


def test_identical_images_have_infinite_psnr_and_ssim_one():
    x, _ = noisy_pair((2, 16, 16, 3))
    assert np.isposinf(psnr(x, x)).all()
    assert np.isposinf(psnr_of_mean_error(x, x))
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_the_metrics_are_symmetric(name):
    x, y = noisy_pair((3, 14, 14, 1))
    np.testing.assert_allclose(METRICS[name](x, y), METRICS[name](y, x), rtol=1e-6)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("dtype", [np.float64, jnp.bfloat16, np.float16])
def test_any_floating_dtype_gives_float32(name, dtype):
    x, y = (image.astype(dtype) for image in noisy_pair((3, 14, 14, 1)))
    value = METRICS[name](x, y)
    assert value.dtype == jnp.float32
    expected = METRICS[name](x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_the_metrics_work_under_jit_and_on_jax_arrays(name):
    x, y = noisy_pair((3, 14, 14, 1))
    value = jax.jit(lambda x, y: METRICS[name](x, y))(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(value, METRICS[name](x, y), rtol=1e-5)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            np.zeros((2, 14, 14, 1)),
            np.zeros((2, 14, 14, 3)),
            r"y must have the shape of x.*14, 3\)",
        ),
        (np.zeros((2, 14, 14, 1)), np.zeros((1, 14, 14, 1)), r"y must have the shape of x"),
        (np.zeros((14, 14, 1)), np.zeros((14, 14, 1)), r"x must be images.*\(14, 14, 1\)"),
        (np.zeros((0, 14, 14, 1)), np.zeros((0, 14, 14, 1)), r"x must be images.*N >= 1"),
        (np.zeros((2, 14, 14, 1)), np.zeros((2, 14, 14, 1), np.uint8), "y must be floating.*uint8"),
    ],
)
def test_wrong_images_are_named(name, x, y, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name](x, y)


@pytest.mark.parametrize("size", [(10, 28), (28, 10)])
def test_ssim_refuses_images_smaller_than_its_window(size):
    x = np.zeros((2, *size, 1), np.float32)
    with pytest.raises(ValueError, match=f"at least 11 x 11.*got {size[0]} x {size[1]}"):
        ssim(x, x)
