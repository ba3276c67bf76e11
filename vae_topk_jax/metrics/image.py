"""How close two batches of images are, pixel by pixel: PSNR and SSIM.

Images are floating arrays in [0, 1], (N, H, W, C); the arithmetic is float32 whatever they come in.
Every function is pure and may be called under `jax.jit`.
"""

import functools

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

WINDOW = 11
SIGMA = 1.5
CHUNK = 256  # images that SSIM works on at once, so that its memory does not grow with N


@jax.jit
def psnr(x_NxHxWxC: ArrayLike, y_NxHxWxC: ArrayLike) -> Array:
    """Peak signal-to-noise ratio of every image, in dB.

        psnr_n = 10 log10(1 / mse_n),   mse_n = the mean over H, W, C of (x_n - y_n)^2

    Identical images have no noise and give +inf. The mean of the result over a data set is the
    definition that most papers use; `psnr_of_mean_error` is the other one.

    Args:
        x_NxHxWxC: images in [0, 1].
        y_NxHxWxC: images in [0, 1], of the same shape.

    Returns:
        psnr_N, float32.

    Raises:
        ValueError: shapes that differ, no images, or images that are not floating (N, H, W, C).

    Examples:
        >>> white = jnp.ones((2, 4, 4, 1))
        >>> psnr(white, 0.9 * white).round(3).tolist()
        [20.0, 20.0]
        >>> psnr(white, white).tolist()
        [inf, inf]
    """
    return _decibel(_mean_square_error(x_NxHxWxC, y_NxHxWxC))


@jax.jit
def psnr_of_mean_error(x_NxHxWxC: ArrayLike, y_NxHxWxC: ArrayLike) -> Array:
    """Peak signal-to-noise ratio of the error averaged over all images, in dB.

        psnr = 10 log10(1 / mse),   mse = the mean over N, H, W, C of (x - y)^2

    By Jensen's inequality it is never above the mean of `psnr`; the worst images weigh more in it.

    Args:
        x_NxHxWxC: images in [0, 1].
        y_NxHxWxC: images in [0, 1], of the same shape.

    Returns:
        A float32 scalar; +inf if the batches are identical.

    Raises:
        ValueError: as `psnr`.

    Examples:
        >>> x, y = jnp.ones((2, 4, 4, 1)), jnp.stack([jnp.ones((4, 4, 1)), jnp.zeros((4, 4, 1))])
        >>> round(float(psnr_of_mean_error(x, y)), 3)
        3.01
    """
    return _decibel(jnp.mean(_mean_square_error(x_NxHxWxC, y_NxHxWxC)))


def reconstruction_metrics(x_NxHxWxC: ArrayLike, y_NxHxWxC: ArrayLike) -> dict[str, float]:
    """PSNR both ways and mean SSIM; without the latter where images are smaller than its window.

    Raises:
        ValueError: as `psnr`.

    Examples:
        >>> x = jnp.zeros((4, 8, 8, 1))
        >>> reconstruction_metrics(x + 0.1, x).keys()
        dict_keys(['psnr', 'psnr_of_mean_error'])
    """
    metrics = {
        "psnr": float(jnp.mean(psnr(x_NxHxWxC, y_NxHxWxC))),
        "psnr_of_mean_error": float(psnr_of_mean_error(x_NxHxWxC, y_NxHxWxC)),
    }
    if min(np.shape(x_NxHxWxC)[1:3]) >= WINDOW:
        metrics["ssim"] = float(jnp.mean(ssim(x_NxHxWxC, y_NxHxWxC)))
    return metrics


@jax.jit
def ssim(x_NxHxWxC: ArrayLike, y_NxHxWxC: ArrayLike) -> Array:
    """Structural similarity of every image, in [-1, 1]; 1 for identical images.

        ssim = (2 mx my + c1) (2 sxy + c2) / ((mx^2 + my^2 + c1) (sx^2 + sy^2 + c2)),
        c1 = 0.01^2, c2 = 0.03^2,

    with the means, variances and covariance under an 11 x 11 Gaussian window of sigma 1.5, averaged
    over the windows that lie wholly inside the image and over the channels.

    Args:
        x_NxHxWxC: images in [0, 1], at least 11 x 11.
        y_NxHxWxC: images in [0, 1], of the same shape.

    Returns:
        ssim_N, float32.

    Raises:
        ValueError: as `psnr`, and images smaller than the window.

    Examples:
        >>> stripes = jnp.broadcast_to(jnp.arange(16.0) % 2, (1, 16, 16))[..., None]
        >>> ssim(stripes, stripes).tolist()
        [1.0]
        >>> bool(ssim(stripes, 1 - stripes)[0] < -0.9)
        True

    References:
        Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to
        structural similarity", IEEE Transactions on Image Processing 13(4), 2004.
    """
    x_NxHxWxC, y_NxHxWxC = _check(x_NxHxWxC, y_NxHxWxC)
    height, width = x_NxHxWxC.shape[1:3]
    if min(height, width) < WINDOW:
        raise ValueError(
            f"x and y must be at least {WINDOW} x {WINDOW} pixels for SSIM, got {height} x {width}"
        )
    blur = functools.partial(_blur, _band(height), _band(width))

    def ssim_of_pair(pair):
        return dm_pix.ssim(
            *pair, max_val=1.0, filter_size=WINDOW, filter_sigma=SIGMA, filter_fn=blur
        )

    return jax.lax.map(ssim_of_pair, (x_NxHxWxC, y_NxHxWxC), batch_size=CHUNK)


def _blur(rows_hxH: np.ndarray, columns_wxW: np.ndarray, x: Array) -> Array:
    # The Gaussian is separable, and matrix products are much faster than convolutions on a CPU.
    return jnp.einsum(
        "hH,HWc,wW->hwc", rows_hxH, x, columns_wxW, precision=jax.lax.Precision.HIGHEST
    )


def _band(size: int) -> np.ndarray:
    """The matrix (size - 10, size) that slides the window along an axis."""
    offset_K = np.arange(WINDOW) - WINDOW // 2
    window_K = np.exp(-0.5 * (offset_K / SIGMA) ** 2)
    window_K /= window_K.sum()
    band = np.zeros((size - WINDOW + 1, size), np.float32)
    for row in range(len(band)):
        band[row, row : row + WINDOW] = window_K
    return band


def _decibel(mean_square_error: Array) -> Array:
    return -10 * jnp.log10(mean_square_error)


def _mean_square_error(x_NxHxWxC: ArrayLike, y_NxHxWxC: ArrayLike) -> Array:
    x_NxHxWxC, y_NxHxWxC = _check(x_NxHxWxC, y_NxHxWxC)
    return jnp.mean(jnp.square(x_NxHxWxC - y_NxHxWxC), axis=(1, 2, 3))


def _check(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    for name, images in (("x", x), ("y", y)):
        shape, dtype = jnp.shape(images), jnp.result_type(images)
        if len(shape) != 4 or 0 in shape:
            raise ValueError(f"{name} must be images (N, H, W, C), N >= 1, got shape {shape}")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"{name} must be floating, in [0, 1], got {dtype}")
    if jnp.shape(x) != jnp.shape(y):
        raise ValueError(f"y must have the shape of x, {jnp.shape(x)}, got {jnp.shape(y)}")
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
