"""What decides a ground truth, and the settings that have a name."""

import dataclasses
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval

from vae_topk_jax.fields import fields_of
from vae_topk_jax.synthetic.hierarchy import Hierarchy


@dataclasses.dataclass(frozen=True)
class Setting:
    """The numbers behind a ground truth; the defaults are those of SynthSAEBench-16k.

    Raises:
        ValueError: a value outside its range, or more features in trees than there are.

    Examples:
        >>> Setting().features, SETTINGS["small"].hierarchy.size
        (16384, 680)
        >>> Setting(features=100)
        Traceback (most recent call last):
        ValueError: features must be at least the 10880 that stand in trees, got 100

    References:
        Chanin & Garriga-Alonso, "SynthSAEBench", arXiv 2602.14687; `sae_lens.synthetic`, whose
        model of version 2 scales children by their parents.
    """

    features: Annotated[int, Ge(1)] = 16_384
    """G, how many features there are."""
    inputs: Annotated[int, Ge(1)] = 768
    """F, how many values a vector has."""
    roots: Annotated[int, Ge(0)] = 128
    """How many of the features are roots of trees; 0: there are no trees."""
    branching: Annotated[int, Ge(2)] = 4
    """How many children a parent has."""
    depth: Annotated[int, Ge(1)] = 3
    """How many levels lie below the roots."""
    most: Annotated[float, Interval(gt=0, le=1)] = 0.4
    """How often the first feature fires."""
    least: Annotated[float, Interval(gt=0, le=1)] = 5e-4
    """How often the last feature fires."""
    exponent: Annotated[float, Gt(0)] = 0.5
    """The power of the rank with which firing becomes rarer."""
    rank: Annotated[int, Ge(1)] = 25
    """Rank of the correlations."""
    correlation: Annotated[float, Ge(0)] = 0.1
    """Standard deviation of the entries of their factor."""
    first_mean: Annotated[float, Gt(0)] = 5.0
    """Mean strength of the first feature where it fires; to the last one it changes linearly."""
    last_mean: Annotated[float, Gt(0)] = 4.0
    """Mean strength of the last feature where it fires."""
    deviation_mean: float = 0.5
    """The strengths of a feature have standard deviation |N(mean, spread^2)|: the mean."""
    deviation_spread: Annotated[float, Ge(0)] = 0.5
    """The spread of these standard deviations."""
    bias: Annotated[float, Ge(0)] = 0.5
    """Length of the vector that is added to all."""
    steps: Annotated[int, Ge(0)] = 100
    """Steps of Adam that make the directions more orthogonal."""
    learning_rate: Annotated[float, Gt(0)] = 3e-4
    """The learning rate of these steps."""

    def __post_init__(self) -> None:
        for name, field in fields_of(Setting).items():
            object.__setattr__(self, name, field.checked(getattr(self, name)))
        if self.least > self.most:
            raise ValueError(f"least must be at most most, {self.most}, got {self.least}")
        if self.features < self.hierarchy.size:
            raise ValueError(
                f"features must be at least the {self.hierarchy.size} that stand in trees, "
                f"got {self.features}"
            )

    @property
    def hierarchy(self) -> Hierarchy:
        """The trees in which the first features stand."""
        return Hierarchy(self.roots, self.branching, self.depth)

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON types."""
        return dataclasses.asdict(self)


SETTINGS: dict[str, Setting] = {
    "tiny": Setting(features=128, inputs=24, roots=4, depth=2),
    "small": Setting(features=1024, inputs=96, roots=8),
    "16k": Setting(),
}
