"""Sets of sprites: a whole grid of factors, factors that are correlated, combinations held out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_topk_jax.data.cache import Block, decoded
from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.factors import Factors, grid
from vae_topk_jax.data.rows import Images
from vae_topk_jax.data.splits import Found, Split
from vae_topk_jax.data.sprites import SIDE, VERSION, render_sprites, sprite_factors

LEAST_SIDE, MOST_SIDE = 16, 256
_BLOCK = 512


class Pair(NamedTuple):
    """Two factors, and how strongly what is said of them holds.

    Attributes:
        first, second: names of factors.
        amount: sigma of a correlation, or the fraction of combinations that is held out.
    """

    first: str
    second: str
    amount: float

    @property
    def names(self) -> str:
        """Both in words."""
        return f"{self.first} and {self.second}"


class SpriteSet(NamedTuple):
    """Which sprites there are.

    Attributes:
        sizes: how many values a factor has, by its name, where they are not the usual ones.
        side: height and width in pixels.
        correlated: the factors whose values go together in training.
        held_out: the factors of which some combinations are seen in the test only.
    """

    sizes: Mapping[str, int]
    side: int = SIDE
    correlated: Pair | None = None
    held_out: Pair | None = None

    @classmethod
    def parse(cls, spec: str) -> SpriteSet:
        """What a spec such as "sprites:x=16,side=32,correlated=x:y:0.2" says.

        Raises:
            DataError: text of another form, or a setting that is named twice.

        Examples:
            >>> SpriteSet.parse("sprites:x=16,held_out=shape:colour:0.25").held_out
            Pair(first='shape', second='colour', amount=0.25)
        """
        text = spec.removeprefix("sprites").removeprefix(":")
        found: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            read = _READERS.get(name, _count)(value)
            if read is None or name in found:
                raise DataError(
                    f"{spec}: expected sizes of factors, a side, correlated or held_out, each "
                    "once, as in sprites:x=16,side=32,correlated=x:y:0.2,held_out=shape:x:0.3, "
                    f"got {part!r}"
                )
            found[name] = read
        own = {name: found.pop(name) for name in cls._field_defaults if name in found}
        return cls(found, **own)


def load_sprites(spec: str, cache: Path) -> Found:
    """Every combination of a grid once, or those that a set has of them.

    With `correlated=A:B:SIGMA` a training example is there with probability

        exp(-(a - b)^2 / (2 sigma^2)),    a, b the numbers of its values, scaled to [0, 1]

    while the examples of the test are drawn from all combinations alike. With
    `held_out=A:B:FRACTION` this fraction of the combinations of two factors makes the test, and is
    never trained on; they lie on diagonals of the table of both, so that each value of a factor is
    trained on in other combinations.

    Args:
        spec: "sprites", with settings of `SpriteSet` after a colon.
        cache: root of the cache, where the pictures are kept.

    Raises:
        DataError: what `SpriteSet.parse` and `sprite_factors` refuse, a side outside [16, 256], a
            pair of anything but two factors of several values, or an amount that leaves nothing to
            train or to test on.

    References:
        Träuble et al., "On Disentangled Representations Learned from Correlated Data", ICML 2021,
        section 3 (correlated, with sigma 0.2, 0.4 and 0.7).
    """
    chosen = SpriteSet.parse(spec)
    factors = sprite_factors(chosen.sizes)
    if not LEAST_SIDE <= chosen.side <= MOST_SIDE:
        raise DataError(
            f"{spec}: side must be from {LEAST_SIDE} to {MOST_SIDE} pixels, got {chosen.side}"
        )
    numbers_NxF = grid(factors.names, factors.sizes)[1]
    sizes = zip(factors.names, factors.sizes, strict=True)
    source = ", ".join(f"{name} {size}" for name, size in sizes)
    if chosen.side != SIDE:
        source += f", side {chosen.side}"
    weight_N = is_test_N = None
    if chosen.correlated:
        weight_N = _correlation(spec, chosen.correlated, factors, numbers_NxF)
        source += f", {chosen.correlated.names} correlated with sigma {chosen.correlated.amount:g}"
    if chosen.held_out:
        is_test_N = _held_out(spec, chosen.held_out, factors, numbers_NxF)
        source += f", combinations of {chosen.held_out.names} held out"
    whole = Split(_pictures(spec, cache, factors, numbers_NxF, chosen.side), None, numbers_NxF)
    if is_test_N is None:
        return Found("sprites", f"sprites ({source})", whole, factors=factors, weight_N=weight_N)
    train, test = (whole.select(np.flatnonzero(part)) for part in (~is_test_N, is_test_N))
    weight_N = None if weight_N is None else weight_N[~is_test_N]
    return Found("sprites", f"sprites ({source})", train, test, factors, weight_N)


def _pictures(
    spec: str, cache: Path, factors: Factors, numbers_NxF: np.ndarray, side: int
) -> Images:
    def blocks() -> Iterator[Block]:
        for start in range(0, len(numbers_NxF), _BLOCK):
            numbers = numbers_NxF[start : start + _BLOCK]
            columns = zip(factors.values, numbers.T, strict=True)
            values = np.stack([values[column] for values, column in columns], axis=1)
            yield Block(np.asarray(render_sprites(values, side)))

    drawn = f"sprites {VERSION} {factors.sizes}" + (f" {side}" if side != SIDE else "")
    return decoded(cache, spec, drawn, blocks).images


def _correlation(spec: str, pair: Pair, factors: Factors, numbers_NxF: np.ndarray) -> np.ndarray:
    """How likely each example stays in the training split."""
    if not pair.amount > 0:
        raise DataError(f"{spec}: sigma of correlated must be above 0, got {pair.amount:g}")
    columns = _columns(spec, "correlated", pair, factors)
    first_N, second_N = (numbers_NxF[:, column] / (factors.sizes[column] - 1) for column in columns)
    return np.exp(-((first_N - second_N) ** 2) / (2 * pair.amount**2))


def _held_out(spec: str, pair: Pair, factors: Factors, numbers_NxF: np.ndarray) -> np.ndarray:
    """Whether an example has one of the combinations that are held out.

    Combinations are taken diagonal by diagonal, each of which has every value of the larger factor
    once. All but one diagonal may be taken.
    """
    columns = _columns(spec, "held_out", pair, factors)
    large, small = sorted(columns, key=lambda column: -factors.sizes[column])
    rows, diagonals = factors.sizes[large], factors.sizes[small]
    count = round(pair.amount * rows * diagonals)
    if not 1 <= count <= rows * (diagonals - 1):
        raise DataError(
            f"{spec}: held_out must be 1 to {rows * (diagonals - 1)} of the {rows * diagonals} "
            f"combinations of {pair.names}, so that each value is trained on, got {count}"
        )
    diagonal_N = (numbers_NxF[:, small] - numbers_NxF[:, large]) % diagonals
    return diagonal_N * rows + numbers_NxF[:, large] < count


def _columns(spec: str, name: str, pair: Pair, factors: Factors) -> tuple[int, int]:
    sizes = dict(zip(factors.names, factors.sizes, strict=True))
    several = [factor for factor, size in sizes.items() if size > 1]
    if pair.first == pair.second or not {pair.first, pair.second} <= {*several}:
        raise DataError(
            f"{spec}: {name} must name two of {', '.join(several)}, got {pair.first} and "
            f"{pair.second}"
        )
    return factors.names.index(pair.first), factors.names.index(pair.second)


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,9}", text, re.ASCII) else None


def _pair(text: str) -> Pair | None:
    found = re.fullmatch(r"([a-z]+):([a-z]+):([0-9]{1,9}(?:\.[0-9]{1,9})?)", text, re.ASCII)
    return Pair(found[1], found[2], float(found[3])) if found else None


_READERS: dict[str, Callable[[str], Any]] = {"correlated": _pair, "held_out": _pair}
