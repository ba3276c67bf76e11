"""What the explorer shows, as the query of its address: a link restores it."""

import dataclasses
import math
import urllib.parse
from collections.abc import Mapping
from typing import Any

import numpy as np

_LARGEST = float(np.finfo(np.float32).max)
MOST_SEED = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class State:
    """What is shown.

    Attributes:
        index: the number of the input; None: it was drawn.
        sigma, seed: of the noise.
        clamps: latent -> the value that it has whatever the input is; 0: it is ablated.
        latent: the one whose details are shown; None: none.
    """

    index: int | None
    sigma: float = 0.0
    seed: int = 0
    clamps: Mapping[int, float] = dataclasses.field(default_factory=dict)
    latent: int | None = None

    def clamped(self, latent: int, value: float) -> "State":
        """With one more latent at a value."""
        return dataclasses.replace(self, clamps={**self.clamps, latent: value})

    def applied(self, z_D: np.ndarray) -> np.ndarray:
        """A copy of the code with the clamps.

        Examples:
            >>> State(0).clamped(1, -2.0).applied(np.array([0.5, 0.0])).tolist()
            [0.5, -2.0]
        """
        changed_D = np.array(z_D)
        changed_D[list(self.clamps)] = list(self.clamps.values())
        return changed_D

    @property
    def query(self) -> str:
        """The query of an address that restores this.

        Examples:
            >>> State(3, 0.5, 0, {17: 2.5, 4: 0.0}, 17).query
            '?index=3&sigma=0.5&set=17:2.5,4:0&latent=17'
        """
        fields: dict[str, Any] = {"index": self.index, "sigma": self.sigma, "seed": self.seed}
        fields["set"] = ",".join(f"{latent}:{value:g}" for latent, value in self.clamps.items())
        fields["latent"] = self.latent
        kept = {name: x for name, x in fields.items() if x is not None and x not in ("", 0)}
        if self.index is not None:
            kept["index"] = self.index
        ordered = {name: kept[name] for name in fields if name in kept}
        return "?" + urllib.parse.urlencode(ordered, safe=":,")

    @classmethod
    def parse(cls, query: Mapping[str, str], inputs: int, latents: int, first: int = 0) -> "State":
        """The state in a query, as a stranger may have written it.

        Args:
            query: the fields.
            inputs, latents: how many there are.
            first: the input of a query that has none.

        Raises:
            ValueError: a field that is no number or out of range, by name.

        Examples:
            >>> State.parse({"index": "3", "set": "1:2.5"}, 10, 4)
            State(index=3, sigma=0.0, seed=0, clamps={1: 2.5}, latent=None)
            >>> State.parse({"set": "9:1"}, 10, 4)
            Traceback (most recent call last):
            ValueError: latent must be an integer in [0, 4), got '9'
        """
        clamps = {}
        for part in filter(None, query.get("set", "").split(",")[:latents]):
            latent, _, value = part.partition(":")
            clamps[_integer("latent", latent, latents)] = _number("value", value, _LARGEST)
        return cls(
            index=_integer("index", query.get("index", str(first)), inputs),
            sigma=abs(_number("sigma", query.get("sigma", "0"), 1.0)),
            seed=_integer("seed", query.get("seed", "0"), MOST_SEED + 1),
            clamps=clamps,
            latent=_integer("latent", query["latent"], latents) if "latent" in query else None,
        )


def _integer(name: str, text: str, end: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) >= end:
        raise ValueError(f"{name} must be an integer in [0, {end}), got {text!r}")
    return int(text)


def _number(name: str, text: str, largest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= largest:
        raise ValueError(f"{name} must be a number of at most {largest:g}, got {text!r}")
    return value
