"""The choice by element: which scores of a batch pass, and the threshold that they have in common.

Like every mask, this one is a constant to differentiation (`vae_topk_jax.selection`).
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_latent, check_number, check_valid
from vae_topk_jax.folding import fold, fold_valid
from vae_topk_jax.lowering import unless_split
from vae_topk_jax.ranking import (
    FLOATS,
    INTEGERS,
    Cut,
    Find,
    Order,
    count_all,
    cut_at,
    find_place,
    is_sorted_fast,
    nth_largest,
    nth_largest_float,
    nth_largest_sorted,
    ordered_bits,
)
from vae_topk_jax.single_pass import find_cut, is_worth_a_pass


class ElementMask(NamedTuple):
    """What `element_top_k` chooses.

    Attributes:
        mask_BxD: float32 zeros and ones, of the shape of the scores.
        threshold: () float32, halfway between the smallest score kept and the largest left out.
    """

    mask_BxD: Array
    threshold: Array


def element_top_k(
    scores_BxD: Array,
    k: ArrayLike,
    valid_B: Array | None = None,
    axis_name: str | None = None,
) -> ElementMask:
    """The mask of the B k largest of the B D scores: k latents per image on average.

    The smallest score kept is found exactly, digit by digit of its bits (`vae_topk_jax.ranking`),
    on a TPU mostly of a few alone (`vae_topk_jax.single_pass`). So k need not be static, nothing is
    sorted but up to a million scores on a GPU, and a batch that is split over devices exchanges
    counts alone. Ties for the last places go to the lower index of the flattened batch; NaN and
    -inf are never selected, nor any score of a padded example.

    Args:
        scores_BxD: one number per entry, (..., D).
        k: mean number of latents per image, 0 <= k <= D; round(k B) entries pass.
        valid_B: marks the real examples of a padded batch; of the leading shape.
        axis_name: mapped axis over which the batch is split.

    Raises:
        ValueError: `scores` has no or an empty axis, 2^31 entries or 2^24 dimensions, `valid_B` is
            of another shape, or k is outside [0, D] (not known while tracing).

    Examples:
        >>> mask_BxD, threshold = element_top_k(jnp.array([[4.0, 3.0], [2.0, 0.0]]), k=1)
        >>> mask_BxD.tolist(), threshold.item()
        ([[1.0, 1.0], [0.0, 0.0]], 2.5)

    References:
        Bussmann, Leask & Nanda, "BatchTopK Sparse Autoencoders", 2024 (batch rule and threshold).
    """
    check_latent(scores=scores_BxD)
    check_valid(valid_B, *scores_BxD.shape[:-1])
    if math.prod(scores_BxD.shape) >= 2**31:
        raise ValueError(f"scores must have fewer than 2^31 entries, got {scores_BxD.shape}")
    if scores_BxD.shape[-1] >= 2**24:
        raise ValueError(f"scores must have fewer than 2^24 dimensions, got {scores_BxD.shape}")
    check_number("k", k, 0, scores_BxD.shape[-1])
    mask_BxD, threshold = _element_top_k(fold(scores_BxD), k, fold_valid(valid_B), axis_name)
    return ElementMask(mask_BxD.reshape(scores_BxD.shape), threshold)


@functools.partial(jax.jit, static_argnames="axis_name")
def _element_top_k(
    scores_BxD: Array, k: ArrayLike, valid_B: Array | None, axis_name: str | None
) -> ElementMask:
    scores_BxD = jax.lax.stop_gradient(scores_BxD.astype(jnp.float32))
    examples = jnp.float32(scores_BxD.shape[0])
    if valid_B is not None:
        valid_B = valid_B.astype(bool)
        scores_BxD = jnp.where(valid_B[:, None], scores_BxD, -jnp.inf)
        examples = jnp.sum(valid_B, dtype=jnp.float32)
    if axis_name is not None:
        examples = jax.lax.psum(examples, axis_name)
    places = jnp.round(jnp.asarray(k, jnp.float32) * examples).astype(jnp.int32)

    def by_integers(scores_BxD: Array, places: Array) -> ElementMask:
        order_BxD = ordered_bits(scores_BxD)
        count = functools.partial(count_all, axis_name=axis_name)
        smallest = nth_largest(order_BxD, places, 32, count)
        cut = cut_at(order_BxD, smallest, INTEGERS)
        return _of_cut(order_BxD, cut, INTEGERS, places, axis_name)

    digits: Find = functools.partial(nth_largest_float, axis_name=axis_name)

    def cut_by_floats(scores_BxD: Array, places: Array, find: Find = digits) -> Cut:
        return cut_at(scores_BxD, find(scores_BxD, places), FLOATS)

    def by_floats(scores_BxD: Array, places: Array, find: Find = digits) -> ElementMask:
        cut = cut_by_floats(scores_BxD, places, find)
        return _of_cut(scores_BxD, cut, FLOATS, places, axis_name)

    def in_one_pass(scores_BxD: Array, places: Array) -> ElementMask:
        # Behind a barrier: XLA would move some sums into the condition, with the arrays they need.
        cut, is_exact = jax.lax.optimization_barrier(find_cut(scores_BxD, places, axis_name))
        cut = jax.lax.cond(is_exact, lambda *_: cut, cut_by_floats, scores_BxD, places)
        return _of_cut(scores_BxD, cut, FLOATS, places, axis_name)

    choices = {"cpu": by_integers, "default": by_floats}
    if axis_name is None:
        short_digits = functools.partial(nth_largest_float, digit=2)
        find = nth_largest_sorted if is_sorted_fast(scores_BxD) else short_digits
        on_one_gpu = functools.partial(by_floats, find=find)
        choices["cuda"] = unless_split(on_one_gpu, by_floats, axis_name)
    if is_worth_a_pass(scores_BxD.shape):
        choices["tpu"] = unless_split(in_one_pass, by_floats, axis_name)
    return jax.lax.platform_dependent(scores_BxD, places, **choices)


def _of_cut(
    rank_BxD: Array, cut: Cut, order: Order, places: Array, axis_name: str | None
) -> ElementMask:
    """The mask of the scores above the smallest that passes, and of as many that are equal to it as
    there are places left.

    The numbers of the cut, one read of the ranks, tell another read what passes. They compare in
    other words, so that no compiler keeps an array from the one for the other.
    """
    smallest, tied_B, reaching, least, below = cut
    bottom = order.rank(jnp.float32(-jnp.inf))
    is_open_BxD = rank_BxD > bottom
    ties = jnp.sum(tied_B, dtype=jnp.int32)
    if axis_name is not None:
        ties, reaching = jax.lax.psum((ties, reaching), axis_name)
        least, below = jax.lax.pmin(least, axis_name), jax.lax.pmax(below, axis_name)
    left = places - (reaching - ties)

    row, number = find_place(tied_B, left, axis_name)
    # Gathered twice: of one row XLA would make a slice, and collect the batch from all devices.
    rank_D = jnp.take(rank_BxD, jnp.stack([row, row]), axis=0, mode="clip")[0]
    tied_D = (rank_D > bottom) & (rank_D == smallest)
    first_D = tied_D & (jnp.cumsum(tied_D, dtype=jnp.int32) <= number)
    row_Bx1 = jax.lax.broadcasted_iota(jnp.int32, (rank_BxD.shape[0], 1), 0)
    passes_BxD = jnp.where(row_Bx1 < row, ~(rank_BxD < smallest), rank_BxD > smallest)
    kept_BxD = is_open_BxD & (passes_BxD | ((row_Bx1 == row) & first_D[None]))

    score = order.value(smallest)
    lowest = jnp.where(score > -jnp.inf, score, order.value(least))
    lowest = jnp.where(places > 0, lowest, jnp.inf)
    threshold = _halfway(lowest, jnp.where(ties > left, score, order.value(below)))
    return ElementMask(kept_BxD.astype(jnp.float32), threshold)


def boundary(scores: Array, mask: Array) -> Array:
    """Halfway between the smallest score that a mask keeps and the largest that it leaves out.

    Args:
        scores: any shape.
        mask: of the same shape. NaN and -inf could not have been kept.

    Returns:
        () float32, a constant to differentiation. Where none is left out there is no boundary: 0,
        or the smallest score kept if that is negative. Infinite where none is kept.

    Examples:
        >>> boundary(jnp.array([4.0, 1.0, 2.0]), jnp.array([1.0, 0.0, 0.0])).item()
        3.0
    """
    scores = jax.lax.stop_gradient(scores.astype(jnp.float32))
    is_left = (scores > -jnp.inf) & ~mask.astype(bool)
    highest_left = jnp.max(jnp.where(is_left, scores, -jnp.inf))
    return _halfway(lowest_kept(scores, mask), highest_left)


def _halfway(lowest: Array, highest_left: Array) -> Array:
    halfway = 0.5 * (lowest + jnp.where(highest_left > -jnp.inf, highest_left, lowest))
    everything = jnp.where(lowest < jnp.inf, jnp.minimum(lowest, 0.0), lowest)
    return jnp.where(highest_left > -jnp.inf, halfway, everything)


def lowest_kept(scores: Array, mask: Array, axis_name: str | None = None) -> Array:
    """The smallest score that a mask keeps; infinite where it keeps none.

    Args:
        scores, mask: as in `boundary`.
        axis_name: mapped axis over which the entries are split.

    Returns:
        () float32, a constant to differentiation as well.

    Examples:
        >>> lowest_kept(jnp.array([4.0, 1.0, 2.0]), jnp.array([1.0, 0.0, 1.0])).item()
        2.0
    """
    scores = jax.lax.stop_gradient(scores.astype(jnp.float32))
    lowest = jnp.min(jnp.where(mask.astype(bool), scores, jnp.inf))
    return lowest if axis_name is None else jax.lax.pmin(lowest, axis_name)
