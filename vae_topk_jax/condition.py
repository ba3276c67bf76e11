"""Labels as a condition: what a layer sees of them, and which it is not shown.

A label is the number of a class, from 0 to classes - 1, or a vector of attributes. A layer of F
other inputs sees more values: sqrt(F) onehot(label) of a class, and sqrt(F / (A + 1)) [1, a] of
attributes a; zeros where the label is unknown. So a label weighs as much as all other inputs
together, were they, and the attributes, of variance 1. At 1 in place of sqrt(F) the codes come to
hold the class before the label is learnt, and images drawn from the prior are less often of the
class asked for (docs/systems.md has figures).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

NO_LABEL = -1
NO_ATTRIBUTES = float(np.finfo(np.float32).min)  # a NaN would stop whoever looks for them


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the labels of a model are, if it has any; false if it has none.

    Attributes:
        classes: of how many classes each is one.
        attributes: of how many numbers each is a vector.

    Examples:
        >>> bool(Labels()), Labels(classes=10).shape, Labels(attributes=3).shape
        (False, (), (3,))
    """

    classes: int = 0
    attributes: int = 0

    def __bool__(self) -> bool:
        return bool(self.classes or self.attributes)

    def __str__(self) -> str:
        return f"attributes {self.attributes}" if self.attributes else f"classes {self.classes}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one label."""
        return (self.attributes,) if self.attributes else ()

    @property
    def dtype(self) -> Any:
        """Of labels."""
        return np.float32 if self.attributes else np.int32

    def of(self, examples: Sequence[Any]) -> jax.ShapeDtypeStruct:
        """Labels of examples of that shape, (N,) or symbolic.

        Examples:
            >>> Labels(attributes=3).of((5,)).shape
            (5, 3)
        """
        return jax.ShapeDtypeStruct((*examples, *self.shape), self.dtype)

    def seen(self, label: Array) -> Array:
        """What a layer of one other input sees of labels: (..., C), or (..., 1 + A).

        Examples:
            >>> Labels(classes=3).seen(jnp.array([1, NO_LABEL])).tolist()
            [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
            >>> Labels(attributes=3).seen(jnp.array([[2.0, 0.0, -4.0]])).tolist()
            [[0.5, 1.0, 0.0, -2.0]]
        """
        if not self.attributes:
            return jax.nn.one_hot(label, self.classes, dtype=jnp.float32)
        is_known = label[..., :1] != NO_ATTRIBUTES
        ones = jnp.ones_like(label[..., :1])
        known = jnp.concatenate([ones, label], axis=-1) / math.sqrt(self.attributes + 1)
        return jnp.where(is_known, known, 0.0)

    def check(self, name: str, labels: ArrayLike, size: int) -> np.ndarray:
        """The labels of so many examples, int32 (N,) or float32 (N, A).

        Args:
            name: of the argument.
            labels: whole numbers (N,), or finite ones (N, A).
            size: N.

        Raises:
            ValueError: another type or shape, classes outside [0, classes - 1], or attributes that
                are not finite.

        Examples:
            >>> Labels(classes=10).check("labels", [0, 10], size=2)
            Traceback (most recent call last):
            ValueError: labels must lie between 0 and 9, as classes is 10, got 0 to 10
        """
        found, shape = np.asarray(labels), (size, *self.shape)
        kind, numbers = (np.number, "") if self.attributes else (np.integer, "whole ")
        if found.shape != shape or not np.issubdtype(found.dtype, kind):
            raise ValueError(
                f"{name} must be {numbers}numbers of shape {shape}, one of each example, "
                f"got {found.dtype} of shape {found.shape}"
            )
        with np.errstate(over="ignore"):
            converted = found.astype(self.dtype)
        if self.attributes:
            if not np.isfinite(converted).all():
                raise ValueError(f"{name} must be finite in float32")
        elif found.min() < 0 or found.max() >= self.classes:
            raise ValueError(
                f"{name} must lie between 0 and {self.classes - 1}, as classes is {self.classes}, "
                f"got {found.min()} to {found.max()}"
            )
        return converted

    def check_asked(self, label: ArrayLike | None, size: int) -> np.ndarray | None:
        """The label that a trained model is asked for, as `check` has them; None where it is asked
        for none.

        Args:
            label: one for all examples, or one of each.
            size: how many examples there are.

        Raises:
            ValueError: a label for a model without; else as `check`.

        Examples:
            >>> Labels(classes=10).check_asked(3, size=2).tolist()
            [3, 3]
        """
        if label is None:
            return None
        array = np.asarray(label)
        if not self:
            raise ValueError(
                f"label must be None for a model without classes, got {array.tolist()!r}"
            )
        if array.ndim == len(self.shape):
            array = np.broadcast_to(array, (size, *array.shape))
        return self.check("label", array, size)


def conditioned(features_BxF: Array, label_B: Array | None, labels: Labels) -> Array:
    """[features, sqrt(F) labels.seen(label)]: what a layer sees that knows the label.

    Args:
        features_BxF: what it would see without.
        label_B: (B,) or (B, A); or one label of all; None: no label.
        labels: what they are; the features alone if a model has none.

    Examples:
        >>> features_BxF = jnp.array([[5.0, 5.0, 5.0, 5.0], [7.0, 7.0, 7.0, 7.0]])
        >>> conditioned(features_BxF, jnp.array([1, NO_LABEL]), Labels(classes=2))[:, 4:].tolist()
        [[0.0, 2.0], [0.0, 0.0]]
    """
    if not labels:
        return features_BxF
    size, width = features_BxF.shape
    seen = labels.seen(unknown(labels.of(())) if label_B is None else label_B)
    shown = (math.sqrt(width) * seen).astype(features_BxF.dtype)
    shown_BxC = jnp.broadcast_to(shown, (size, shown.shape[-1]))
    return jnp.concatenate([features_BxF, shown_BxC], axis=-1)


def unknown(like: Any) -> Array:
    """Labels that stand for any class or any attributes.

    Examples:
        >>> unknown(jnp.array([3, 1])).tolist()
        [-1, -1]
    """
    return jnp.full(like.shape, _unknown(like), like.dtype)


def drop_labels(key: Array, label_B: Array, share: float) -> Array:
    """The labels, each replaced by an unknown one with the probability `share`.

    Examples:
        >>> drop_labels(jax.random.key(0), jnp.array([3, 1]), share=1.0).tolist()
        [-1, -1]
    """
    is_dropped_B = jax.random.uniform(key, label_B.shape[:1], jnp.float32) < share
    is_dropped = is_dropped_B.reshape(-1, *(1 for _ in label_B.shape[1:]))
    return jnp.where(is_dropped, unknown(label_B), label_B)


def given(label_B: Any) -> dict[str, Any]:
    """The argument `label_B` of a method, left out where there is no label: models that take no
    labels have no such argument."""
    return {} if label_B is None else {"label_B": label_B}


def of_chunk(label_N: np.ndarray | None, start: int, size: int) -> Array | None:
    """The labels of a chunk of that size, unknown ones for what pads it.

    Examples:
        >>> of_chunk(np.array([4, 5, 6], np.int32), start=2, size=2).tolist()
        [6, -1]
    """
    if label_N is None:
        return None
    taken = label_N[start : start + size]
    missing = [(0, size - len(taken)), *((0, 0) for _ in taken.shape[1:])]
    return jnp.asarray(np.pad(taken, missing, constant_values=_unknown(taken)))


def _unknown(labels: Any) -> float:
    return NO_LABEL if np.issubdtype(labels.dtype, np.integer) else NO_ATTRIBUTES
