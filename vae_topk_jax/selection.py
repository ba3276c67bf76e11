"""From importances or scores to a mask: which latents pass and which are set to zero.

    by dimension   the k most important of the D dimensions, the same for the whole batch
    by element     the B k largest of the B D scores: k latents per image on average
                   (`vae_topk_jax.element`)
    per sample     the k largest scores of each image: exactly k latents per image

B stands for any leading axes: of scores (batch, tokens, D) every token is an image of its own.
Masks are constants to differentiation: gradients flow through the values that are kept, never
through the choice.
"""

import functools
import numbers
import operator

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_latent
from vae_topk_jax.folding import fold
from vae_topk_jax.lowering import unless_split
from vae_topk_jax.ranking import (
    FLOATS,
    INTEGERS,
    Find,
    Order,
    bits_of,
    count_rows,
    is_sorted_fast,
    nth_largest,
    nth_largest_float,
    nth_largest_sorted,
    ordered_bits,
)


@functools.partial(jax.jit, static_argnames="k")
def batch_top_k_mask(importance: Array, k: int, count: ArrayLike | None = None) -> Array:
    """The mask of the k most important dimensions, shared by the whole batch.

        mask_d = 1 if importance_d is among the k largest, else 0

    Ties go to the lower index; subnormal numbers may count as zero, as the hardware has it. NaN and
    -inf are never selected, so the mask has exactly k ones unless fewer than k entries are left.
    The mask is a constant to differentiation: gradients flow through the values that it keeps,
    never through the importance.

    Args:
        importance: importance_D, one number a dimension.
        k: how many dimensions to keep, static, 1 <= k <= D.
        count: how many of the k to keep after all, where that changes from call to call: it need
            not be static.

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
    k = check_k(k, importance.shape[0])
    importance_D = jax.lax.stop_gradient(_as_float(importance))
    # lax.top_k ranks NaN highest and 0.0 above -0.0: rank NaN lowest, and the zeros alike.
    rank_D = jnp.where(jnp.isnan(importance_D), -jnp.inf, importance_D)
    rank_D = jnp.where(rank_D == 0, 0, rank_D)
    _, index_K = jax.lax.top_k(rank_D, k)
    limit = k if count is None else jnp.round(count).astype(jnp.int32)
    kept_K = (jnp.arange(k, dtype=jnp.int32) < limit).astype(importance_D.dtype)
    mask_D = jnp.zeros_like(importance_D).at[index_K].set(kept_K)
    return jnp.where(rank_D == -jnp.inf, 0, mask_D)


@functools.partial(jax.jit, static_argnames="k")
def sample_top_k_mask(scores_BxD: Array, k: int, count: ArrayLike | None = None) -> Array:
    """The mask of the k largest scores of each image; `batch_top_k_mask` of every row.

    The smallest score kept of each row is found as by element; no row costs more for a
    larger k.

    Raises:
        ValueError: `scores` has no or an empty axis, or k is outside [1, D].

    Examples:
        >>> sample_top_k_mask(jnp.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), k=1).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]

    References:
        Makhzani & Frey, "k-Sparse Autoencoders", ICLR 2014.
    """
    check_latent(scores=scores_BxD)
    size = scores_BxD.shape[-1]
    k = check_k(k, size)
    scores = _as_float(jax.lax.stop_gradient(fold(scores_BxD)))
    limit = k if count is None else jnp.minimum(jnp.round(count).astype(jnp.int32), k)
    places_Bx1 = jnp.full((scores.shape[0], 1), limit, jnp.int32)

    def by_integers(scores_BxD: Array, places_Bx1: Array) -> Array:
        order_BxD = ordered_bits(scores_BxD)
        smallest_Bx1 = nth_largest(order_BxD, places_Bx1, bits_of(order_BxD), count_rows)
        return _rows_of_smallest(order_BxD, smallest_Bx1, INTEGERS, places_Bx1)

    def by_floats(scores_BxD: Array, places_Bx1: Array, find: Find = nth_largest_float) -> Array:
        scores_BxD = scores_BxD.astype(jnp.float32)
        smallest_Bx1 = find(scores_BxD, places_Bx1)
        return _rows_of_smallest(scores_BxD, smallest_Bx1, FLOATS, places_Bx1)

    choices = {"cpu": by_integers, "default": by_floats}
    if scores.dtype == jnp.float64:
        choices["default"] = by_integers
    elif is_sorted_fast(scores):
        by_sort = functools.partial(by_floats, find=nth_largest_sorted)
        choices["cuda"] = unless_split(by_sort, by_floats, None)
    kept_BxD = jax.lax.platform_dependent(scores, places_Bx1, **choices)
    return kept_BxD.astype(scores.dtype).reshape(scores_BxD.shape)


def _rows_of_smallest(
    rank_BxD: Array, smallest_Bx1: Array, order: Order, places_Bx1: Array
) -> Array:
    """`_of_smallest` of every row: which entries pass."""
    is_open_BxD = rank_BxD > order.rank(jnp.float32(-jnp.inf)).astype(rank_BxD.dtype)
    above_BxD = is_open_BxD & (rank_BxD > smallest_Bx1)
    tied_BxD = is_open_BxD & (rank_BxD == smallest_Bx1)
    left_Bx1 = places_Bx1 - count_rows(above_BxD)

    def first_tied() -> Array:
        size = rank_BxD.shape[1]
        countdown_1xD = jnp.arange(size, 0, -1, dtype=jnp.uint32)[None]
        turn_BxD = jnp.where(tied_BxD, countdown_1xD, jnp.uint32(0))
        last_Bx1 = nth_largest(turn_BxD, left_Bx1, size.bit_length(), count_rows)
        return tied_BxD & (turn_BxD >= last_Bx1)

    too_many = jnp.any(count_rows(tied_BxD) > left_Bx1)
    return above_BxD | jax.lax.cond(too_many, first_tied, lambda: tied_BxD)


def annealed_k(k: int, size: int, progress: ArrayLike, anneal: float) -> Array:
    """How many latents pass while their number falls geometrically from all of them to k.

        k (size / k)^max(0, 1 - progress / anneal)

    Args:
        k: how many in the end.
        size: D.
        progress: fraction of training done, from 0 to 1.
        anneal: fraction of training over which the number falls, above 0.

    Examples:
        >>> [annealed_k(4, 64, progress, 0.5).item() for progress in (0.0, 0.25, 0.75)]
        [64.0, 16.0, 4.0]
    """
    left = jnp.maximum(0.0, 1.0 - progress / anneal)
    return k * jnp.power(float(size) / k, left)


def apply_mask(z_BxD: Array, mask: Array) -> Array:
    """z where the mask (mask_D or mask_BxD) is one, exact zero elsewhere, even where z is not
    finite.

    Raises:
        ValueError: a mask of another shape.

    Examples:
        >>> apply_mask(jnp.array([[1.0, jnp.inf]]), jnp.array([1.0, 0.0])).tolist()
        [[1.0, 0.0]]
    """
    if mask.shape not in (z_BxD.shape, z_BxD.shape[-1:]):
        raise ValueError(f"mask must have shape (D,) or that of z, {z_BxD.shape}, got {mask.shape}")
    mask_BxD = jnp.broadcast_to(mask.astype(z_BxD.dtype), z_BxD.shape)
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


def check_mean_k(k: float, size: int) -> float:
    """k, if it is a mean number of latents: any number above 0 that is not above `size`.

    Returns:
        An int where it is a whole number.

    Raises:
        ValueError: otherwise.

    Examples:
        >>> check_mean_k(1.5, 64), check_mean_k(8.0, 64)
        (1.5, 8)
    """
    if isinstance(k, bool) or not isinstance(k, numbers.Real):
        raise ValueError(f"k must be a number, got {k!r}")
    if float(k).is_integer():
        return check_k(int(k), size)
    if not 0 < k < size:
        raise ValueError(f"k must lie above 0 and not above the {size} dimensions, got {k}")
    return float(k)


def _as_float(x: Array) -> Array:
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
