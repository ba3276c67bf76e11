"""From an importance to a mask: which latents pass and which are set to zero."""

import functools
import operator

import jax
import jax.numpy as jnp
from jax import Array


@functools.partial(jax.jit, static_argnames="k")
def batch_top_k_mask(importance: Array, k: int) -> Array:
    """The mask of the k most important dimensions, shared by the whole batch.

        mask_d = 1 if importance_d is among the k largest, else 0

    Ties go to the lower index; subnormal numbers may count as zero, as the hardware has it. NaN and
    -inf are never selected, so the mask has exactly k ones unless fewer than k entries are left.
    The mask is a constant to differentiation: gradients flow through the values that it keeps,
    never through the importance.

    Args:
        importance: importance_D, one number a dimension.
        k: how many dimensions to keep, static, 1 <= k <= D.

    Returns:
        mask_D of zeros and ones, in the floating type of `importance` (float32 for integers).

    Raises:
        ValueError: `importance` is not one-dimensional, or k is outside [1, D].

    Examples:
        >>> batch_top_k_mask(jnp.array([0.1, 0.9, jnp.nan, 0.4]), k=2).tolist()
        [0.0, 1.0, 0.0, 1.0]

    References:
        Byeon & Lee, "A Study on Batch Top-K Sparse Latent Representations with EMA-Based Inference
        in VAE-Based Models", section 2.1.
    """
    if importance.ndim != 1:
        raise ValueError(f"importance must have one axis, (D,), got shape {importance.shape}")
    size = importance.shape[0]
    k = check_k(k, size)
    if not jnp.issubdtype(importance.dtype, jnp.floating):
        importance = importance.astype(jnp.float32)
    importance_D = jax.lax.stop_gradient(importance)
    # lax.top_k ranks NaN highest and 0.0 above -0.0: rank NaN lowest, and the zeros alike.
    rank_D = jnp.where(jnp.isnan(importance_D), -jnp.inf, importance_D)
    rank_D = jnp.where(rank_D == 0, 0, rank_D)
    _, index_K = jax.lax.top_k(rank_D, k)
    mask_D = jnp.zeros_like(importance_D).at[index_K].set(1)
    return jnp.where(rank_D == -jnp.inf, 0, mask_D)


def apply_mask(z_BxD: Array, mask_D: Array) -> Array:
    """z where the mask is one, exact zero elsewhere, even where z is not finite.

    Examples:
        >>> apply_mask(jnp.array([[1.0, jnp.inf]]), jnp.array([1.0, 0.0])).tolist()
        [[1.0, 0.0]]
    """
    mask_BxD = jnp.broadcast_to(mask_D.astype(z_BxD.dtype), z_BxD.shape)
    return jnp.where(mask_BxD == 0, 0, z_BxD * mask_BxD)


def check_k(k: int, size: int) -> int:
    """k as an int, if it is a whole number of dimensions between 1 and `size`.

    Raises:
        ValueError: otherwise.

    Examples:
        >>> check_k(8, 64)
        8
    """
    try:
        k = operator.index(k)
    except TypeError:
        raise ValueError(f"k must be an integer, got {k!r}") from None
    if not 1 <= k <= size:
        raise ValueError(f"k must lie between 1 and the {size} dimensions, got {k}")
    return k
