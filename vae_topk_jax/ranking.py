"""The n-th largest of many numbers, exactly: digit by digit of its bits, or by a sort.

How many numbers reach a candidate settles a digit. On a CPU a digit is one bit and numbers are
compared as integers; on an accelerator it has two or four bits, so that the numbers are read 16 or
8 times, and they are compared as floats, so that no array is kept beside them. A GPU sorts a small
array in less time than it needs to start so many kernels.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Find = Callable[[Array, Array], Array]  # numbers, n -> the n-th largest

_RUN = 16  # so many bytes are added up before they are widened
_SORTED = 1 << 20  # numbers; on an H200 digits of two bits overtake a sort there
_LOWEST = 0x00800000  # in the order of float32 -3.4e38, the smallest finite one


def ordered_bits(x: Array) -> Array:
    """Unsigned integers in the order of the floats, 32 bits or more; 0 for NaN and -inf.

    Examples:
        >>> order = ordered_bits(jnp.array([-jnp.inf, -2.0, -0.0, 0.0, 1.5]))
        >>> (order[1:] >= order[:-1]).tolist(), order[0].item(), bool(order[2] == order[3])
        ([True, True, True, True], 0, True)
    """
    x = x if x.dtype == jnp.float64 else x.astype(jnp.float32)
    x = jnp.where(x == 0, 0, x)  # -0.0 ranks with 0.0
    word = jnp.dtype(f"uint{bits_of(x)}")
    bits = jax.lax.bitcast_convert_type(x, word)
    sign = word.type(1) << word.type(bits_of(x) - 1)
    ordered = jnp.where(bits >= sign, ~bits, bits | sign)
    return jnp.where(jnp.isnan(x) | (x == -jnp.inf), word.type(0), ordered)


def float_of(order: Array) -> Array:
    """The float32 of that place in the order; -inf for 0, NaN above that of infinity.

    Examples:
        >>> x = jnp.array([-jnp.inf, -2.0, 0.0, 1.5, jnp.inf])
        >>> float_of(ordered_bits(x)).tolist()
        [-inf, -2.0, 0.0, 1.5, inf]
    """
    sign = jnp.uint32(1) << jnp.uint32(31)
    bits = jnp.where(order >= sign, order ^ sign, ~order)
    x = jax.lax.bitcast_convert_type(bits, jnp.float32)
    return jnp.where(order < _LOWEST, -jnp.inf, x)


class Order(NamedTuple):
    """How floats are compared.

    Attributes:
        rank: what stands for them in comparisons.
        value: the floats again.
    """

    rank: Callable[[Array], Array]
    value: Callable[[Array], Array]


INTEGERS = Order(ordered_bits, float_of)
FLOATS = Order(lambda x: x, lambda x: x)


def bits_of(x: Array) -> int:
    """How many bits an entry has."""
    return 8 * x.dtype.itemsize


def nth_largest(x_BxD: Array, n: Array, bits: int, count: Callable[[Array], Array]) -> Array:
    """The n-th largest of unsigned integers below 2^bits; 0 where there are fewer, and the largest
    integer for n = 0.

    Args:
        x_BxD: the integers.
        n: of all of them, (), or of each row, (B, 1).
        bits: how many may be set.
        count: how many of a mask are true, an int32 of the shape of `n`.
    """
    word = x_BxD.dtype.type

    def settle(i: Array, found: Array) -> Array:
        candidate = found | (word(1) << (word(bits - 1) - jnp.asarray(i, word)))
        return jnp.where(count(x_BxD >= candidate) >= n, candidate, found)

    nothing = count(x_BxD != x_BxD).astype(word)  # 0, and under shard_map of the type of a count
    return jax.lax.fori_loop(0, bits, settle, nothing)


def nth_largest_float(
    x_BxD: Array, n: Array, axis_name: str | None = None, digit: int = 4
) -> Array:
    """The n-th largest float32 but NaN and -inf; -inf where there are fewer, NaN for n = 0.

    Args:
        x_BxD: the floats.
        n: of all of them, (), or of each row, (B, 1); int32.
        axis_name: mapped axis over which they are split, where n is that of all.
        digit: bits that are settled in one read, 1, 2 or 4: with two a read counts 3 numbers, with
            four 15.

    Examples:
        >>> x_1xD = jnp.array([[3.0, jnp.nan, 1.0, -jnp.inf]])
        >>> [nth_largest_float(x_1xD, jnp.int32(n)).item() for n in (1, 2, 3)]
        [3.0, 1.0, -inf]
    """
    axes = (0, 1) if n.ndim == 0 else (1,)

    def settle(i: Array, found: Array) -> Array:
        place = jnp.uint32(32 - digit) - jnp.uint32(digit) * jnp.asarray(i, jnp.uint32)
        digits = [jnp.uint32(value) << place for value in range(1, 1 << digit)]
        candidates = [float_of(jnp.maximum(found | x, jnp.uint32(_LOWEST))) for x in digits]
        # One reduction of many operands: several would read the floats several times.
        reached = tuple((x_BxD >= candidate).astype(jnp.int32) for candidate in candidates)
        counts = jax.lax.reduce(reached, (jnp.int32(0),) * len(reached), _add, axes)
        counts = jnp.stack([count.reshape(n.shape) for count in counts])
        if axis_name is not None:
            counts = jax.lax.psum(counts, axis_name)
        return found | (jnp.sum(counts >= n[None], axis=0, dtype=jnp.uint32) << place)

    # 0, and under shard_map of the type of a count.
    corner = x_BxD[:, :1] if n.ndim else x_BxD[0, 0]
    nothing = corner < corner if axis_name is None else jnp.zeros((), bool)
    return float_of(jax.lax.fori_loop(0, 32 // digit, settle, nothing.astype(jnp.uint32)))


def nth_largest_sorted(x_BxD: Array, n: Array) -> Array:
    """`nth_largest_float` by a sort.

    Args:
        x_BxD: the floats.
        n: of all of them, (), or of each row, (B, 1); int32.

    Examples:
        >>> x_2xD = jnp.array([[3.0, jnp.nan, 1.0], [-jnp.inf, 2.0, 5.0]])
        >>> nth_largest_sorted(x_2xD, jnp.int32(4)).item()
        1.0
        >>> nth_largest_sorted(x_2xD, jnp.array([[2], [3]])).tolist()
        [[1.0], [-inf]]
    """
    known_BxD = jnp.where(jnp.isnan(x_BxD), -jnp.inf, x_BxD)
    ascending = jnp.sort(known_BxD if n.ndim else known_BxD.ravel(), axis=-1)
    place = ascending.shape[-1] - jnp.atleast_1d(n)
    found = jnp.take_along_axis(ascending, place, axis=-1, mode="clip")
    return jnp.where(n > 0, found.reshape(n.shape), jnp.nan)


def is_sorted_fast(x: Array) -> bool:
    """Whether a GPU sorts an array, or each row of it, in less time than it needs to count; False
    in a program for batches of any size."""
    return isinstance(x.size, int) and x.size <= _SORTED


def _add(left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
    return jax.tree.map(jnp.add, left, right)


def count_all(chosen_BxD: Array, axis_name: str | None) -> Array:
    """How many are chosen in all, () int32, fewer than 2^31."""
    count = jnp.sum(count_rows(chosen_BxD), dtype=jnp.int32)
    return count if axis_name is None else jax.lax.psum(count, axis_name)


def count_rows(chosen_BxD: Array) -> Array:
    """How many of each row are chosen, (B, 1) int32, fewer than 2^24.

    Compilers for CPUs add the bytes of short runs several times faster than numbers of 32 bits, and
    others add floats faster than integers.
    """

    def by_bytes(chosen_BxD: Array) -> Array:
        padded_BxD = jnp.pad(chosen_BxD, ((0, 0), (0, -chosen_BxD.shape[1] % _RUN)))
        runs_BxRxN = padded_BxD.astype(jnp.uint8).reshape(chosen_BxD.shape[0], _RUN, -1)
        sums_BxN = jnp.sum(runs_BxRxN, axis=1, dtype=jnp.uint8)
        return jnp.sum(sums_BxN, axis=1, keepdims=True, dtype=jnp.int32)

    def by_floats(chosen_BxD: Array) -> Array:
        return jnp.sum(chosen_BxD, axis=1, keepdims=True, dtype=jnp.float32).astype(jnp.int32)

    return jax.lax.platform_dependent(chosen_BxD, cpu=by_bytes, default=by_floats)


class Cut(NamedTuple):
    """What lies around the smallest number that passes; of a shard, where the rows are split.

    Attributes:
        smallest: the same on every shard.
        tied_B: how many of each row are equal to it.
        reaching: how many are, or lie above it.
        least: the smallest of all but NaN and -inf.
        below: the largest below it.
    """

    smallest: Array
    tied_B: Array
    reaching: Array
    least: Array
    below: Array


def cut_at(rank_BxD: Array, smallest: Array, order: Order) -> Cut:
    """What lies around a number, in one read.

    Examples:
        >>> cut = cut_at(jnp.array([[3.0, 1.0], [2.0, 2.0]]), jnp.float32(2), FLOATS)
        >>> cut.tied_B.tolist(), cut.reaching.item(), cut.least.item(), cut.below.item()
        ([0, 2], 3, 1.0, 1.0)
    """
    bottom, top = order.rank(jnp.float32(-jnp.inf)), order.rank(jnp.float32(jnp.inf))
    is_open_BxD = rank_BxD > bottom
    reaches_BxD = is_open_BxD & (rank_BxD >= smallest)
    return Cut(
        smallest,
        tied_B=count_rows(is_open_BxD & (rank_BxD == smallest))[:, 0],
        reaching=jnp.sum(count_rows(reaches_BxD), dtype=jnp.int32),
        least=jnp.min(jnp.where(is_open_BxD, rank_BxD, top)),
        below=jnp.max(jnp.where(is_open_BxD & ~reaches_BxD, rank_BxD, bottom)),
    )


class Place(NamedTuple):
    """Where the n-th of those that are chosen lies, in the order of the flattened batch.

    Attributes:
        row: its row, () int32; B where fewer are chosen, -1 for n = 0 and on shards after it.
        number: how many of the row come before it or are it.
    """

    row: Array
    number: Array


def find_place(count_B: Array, n: Array, axis_name: str | None) -> Place:
    """The place of the n-th of those that are chosen.

    Args:
        count_B: how many are chosen in each row, int32.
        n: () int32.
        axis_name: mapped axis over which the rows are split.

    Examples:
        >>> row, number = find_place(jnp.array([1, 0, 3]), jnp.int32(2), None)
        >>> row.item(), number.item()
        (2, 1)
    """
    n = n - _count_before(jnp.sum(count_B, dtype=jnp.int32), axis_name)
    until_B = jnp.cumsum(count_B, dtype=jnp.int32)
    row = jnp.where(n > 0, jnp.sum(until_B < n, dtype=jnp.int32), -1)
    before = jnp.where(row > 0, until_B[jnp.maximum(row - 1, 0)], 0)
    return Place(row, n - before)


def _count_before(count: Array, axis_name: str | None) -> Array:
    """How many the shards before this one have."""
    if axis_name is None:
        return jnp.int32(0)
    count_S = jax.lax.all_gather(count, axis_name)
    is_before_S = jnp.arange(len(count_S), dtype=jnp.int32) < jax.lax.axis_index(axis_name)
    return jnp.sum(jnp.where(is_before_S, count_S, 0), dtype=jnp.int32)
