"""The n-th largest of an array of which a TPU reads every number once.

A sample tells a ceiling: the n-th largest hardly ever lies above it, and mostly not far below. One
pass counts the numbers above the ceiling, and keeps the 8 largest others of each place, which is
every 128th number of a row. The n-th largest is then found among those that were kept, in rows of
16,384 numbers a sixteenth of the array.

Whether it is the right one can be told. The ceiling must not lie below it, and a number that was
not kept must not reach it: none of them is larger than the smallest of the 8 kept in its place.
Where this fails, as with many ties or rows that are very unlike, the array has to be read digit by
digit (`vae_topk_jax.ranking`).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_topk_jax.ranking import FLOATS, Cut, cut_at, nth_largest_float

_LEAST = 1 << 26  # entries: 268 MB, twice the memory that lies on a chip
_LANES = 128  # that a TPU compares at once
_KEPT = 8
_BLOCK = (32, 1 << 14)  # rows and columns that lie on the chip at a time, at most: 2 MB
_UNROLLED = 4  # turns of the kernel's loop: fewer copies of what is kept
_SHORTEST = 1 << 12  # part of a row: 32 numbers for 8 that are kept
_TILES, _TILE = 1024, (8, 128)  # of the sample
_LATTICE = 633  # the golden section of 1,024
_SIGMAS = 5.0  # of the rank in the sample


def is_worth_a_pass(shape: Sequence[int]) -> bool:
    """Whether an array is too large for the memory on a chip, of rows that are long enough.

    Examples:
        >>> is_worth_a_pass((65536, 16384)), is_worth_a_pass((128, 64))
        (True, False)
    """
    rows, columns = shape
    is_whole = rows % _TILE[0] == 0 and columns % _LANES == 0
    is_large = rows * columns >= _LEAST
    return is_whole and is_large and columns // _parts(columns) >= _SHORTEST


def _parts(columns: int) -> int:
    """Into how many parts of a block's width, at most, a row is cut."""
    least = -(-columns // _BLOCK[1])
    return next(n for n in itertools.count(least) if columns % (n * _LANES) == 0)


def find_cut(x_BxD: Array, n: Array, axis_name: str | None) -> tuple[Cut, Array]:
    """The n-th largest float with what lies around it, and whether it was found.

    Args:
        x_BxD: float32, of a shape that `is_worth_a_pass`.
        n: of all of them, () int32.
        axis_name: mapped axis over which the rows are split.
    """
    ceiling = _find_ceiling(x_BxD, n, axis_name)
    kept_KxBxL, above_BxL = keep_largest(x_BxD, ceiling)
    kept_NxL = kept_KxBxL.reshape(-1, kept_KxBxL.shape[2])
    above = jnp.sum(above_BxL, dtype=jnp.int32)
    above_of_all, lost = above, jnp.max(kept_KxBxL[-1])  # none that was lost is larger
    if axis_name is not None:
        above_of_all, lost = jax.lax.psum(above, axis_name), jax.lax.pmax(lost, axis_name)
    left = n - above_of_all
    smallest = nth_largest_float(kept_NxL, left, axis_name)
    cut = cut_at(kept_NxL, smallest, FLOATS)
    tied_B = jnp.sum(cut.tied_B.reshape(_KEPT, -1), axis=0, dtype=jnp.int32)
    cut = cut._replace(tied_B=tied_B, reaching=cut.reaching + above)
    return cut, (left > 0) & (smallest > lost)


def _find_ceiling(x_BxD: Array, n: Array, axis_name: str | None) -> Array:
    """What the n-th largest hardly ever lies above, by its rank in a sample."""
    sample_NxC = sample(x_BxD)
    rank = n.astype(jnp.float32) * jnp.float32(sample_NxC.size / x_BxD.size)
    rank = jnp.floor(rank - _SIGMAS * jnp.sqrt(rank)).astype(jnp.int32)
    ceiling = nth_largest_float(sample_NxC, jnp.maximum(rank, 1), axis_name)
    return jnp.where(rank > 0, ceiling, jnp.inf)


def sample(x_BxD: Array) -> Array:
    """Tiles from all over the array, of 2^20 numbers in all: a function of the shape alone.

    Tile t lies in the t-th of 1,024 strips of rows. Where in the strip, and in which columns, goes
    by Korobov's lattice: the fractions of a^2 t / 1024 and a t / 1024.

    Examples:
        >>> jax.eval_shape(sample, jax.ShapeDtypeStruct((65536, 16384), jnp.float32)).shape
        (8192, 128)
    """
    rows, columns = (length // of_tile for length, of_tile in zip(x_BxD.shape, _TILE, strict=True))
    turn_S = np.arange(_TILES)
    row_S = (turn_S * _TILES + _LATTICE**2 * turn_S % _TILES) * rows // _TILES**2
    column_S = _LATTICE * turn_S % _TILES * columns // _TILES
    start_Sx2 = jnp.asarray(np.stack([row_S, column_S], axis=1) * _TILE, jnp.int32)
    tile_SxRxC = jax.vmap(lambda start: jax.lax.dynamic_slice(x_BxD, start, _TILE))(start_Sx2)
    return tile_SxRxC.reshape(-1, _TILE[1])


def keep_largest(x_BxD: Array, ceiling: Array) -> tuple[Array, Array]:
    """The largest numbers of each place that do not lie above a ceiling, in one pass.

    A place is every 128th number of a row, or of a part of 16,384 numbers of a longer row.

    Args:
        x_BxD: float32, D a multiple of 128.
        ceiling: () float32.

    Returns:
        kept_KxBxL: in falling order, 128 places for each part of a row; -inf where there are fewer.
        above_BxL: how many numbers of each place lie above the ceiling, int32.
    """
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import tpu as pltpu

    rows, columns = x_BxD.shape
    parts = _parts(columns)
    varies = jax.typeof(x_BxD).manual_axis_type  # over the devices of `shard_map`
    kept = (_KEPT, rows, parts * _LANES)
    of_x = pl.BlockSpec((_BLOCK[0], columns // parts), lambda i, j: (i, j))
    of_kept = pl.BlockSpec((_KEPT, _BLOCK[0], _LANES), lambda i, j: (0, i, j))
    of_above = pl.BlockSpec((_BLOCK[0], _LANES), lambda i, j: (i, j))
    one_pass = pl.pallas_call(
        _keep_largest_of_block,
        grid=(pl.cdiv(rows, _BLOCK[0]), parts),
        in_specs=[pl.BlockSpec(memory_space=pltpu.SMEM), of_x],
        out_specs=(of_kept, of_above),
        out_shape=(
            jax.ShapeDtypeStruct(kept, jnp.float32, manual_axis_type=varies),
            jax.ShapeDtypeStruct(kept[1:], jnp.int32, manual_axis_type=varies),
        ),
    )
    with jax.enable_x64(False):  # a TPU has no indices of 64 bits
        return one_pass(ceiling[None], x_BxD)


def _keep_largest_of_block(ceiling_ref: Any, x_ref: Any, kept_ref: Any, above_ref: Any) -> None:
    from jax.experimental import pallas as pl

    rows, columns = x_ref.shape
    ceiling = ceiling_ref[0]

    def insert(i: Array, found: tuple[Array, ...]) -> tuple[Array, ...]:
        above_RxL, *kept = found
        start = pl.multiple_of(i * _LANES, _LANES)
        x_RxL = x_ref[:, pl.ds(start, _LANES)]
        above_RxL += (x_RxL > ceiling).astype(jnp.int32)
        x_RxL = jnp.where(x_RxL <= ceiling, x_RxL, -jnp.inf)  # nor NaN
        for place, y_RxL in enumerate(kept):
            kept[place], x_RxL = jnp.maximum(y_RxL, x_RxL), jnp.minimum(y_RxL, x_RxL)
        return above_RxL, *kept

    nothing_RxL = jnp.full((rows, _LANES), -jnp.inf, jnp.float32)
    start = (jnp.zeros((rows, _LANES), jnp.int32), *[nothing_RxL] * _KEPT)
    turns = columns // _LANES
    above_ref[...], *kept = jax.lax.fori_loop(0, turns, insert, start, unroll=_UNROLLED)
    for place, y_RxL in enumerate(kept):
        kept_ref[place] = y_RxL
