"""Labels as a condition: what a layer sees of them, and which it is not shown.

A label is a number from 0 to classes - 1, or `NO_LABEL`, which stands for any class. A layer of F
other inputs sees one more value for each class, sqrt(F) for the label's own and 0 for the others;
without a label all are 0. So the label weighs as much as all other inputs together, were they of
variance 1. At 1 in place of sqrt(F) the codes come to hold the class before the label is learnt,
and images drawn from the prior are less often of the class asked for (docs/systems.md has figures).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

NO_LABEL = -1


def conditioned(features_BxF: Array, label_B: Array | None, classes: int) -> Array:
    """[features, sqrt(F) onehot(label)]: what a layer sees that knows the label.

    Args:
        features_BxF: what it would see without.
        label_B: int32; or () for one label of all; None: no label.
        classes: how many there are; 0: the features alone.

    Examples:
        >>> features_BxF = jnp.array([[5.0, 5.0, 5.0, 5.0], [7.0, 7.0, 7.0, 7.0]])
        >>> conditioned(features_BxF, jnp.array([1, NO_LABEL]), classes=2)[:, 4:].tolist()
        [[0.0, 2.0], [0.0, 0.0]]
    """
    if not classes:
        return features_BxF
    label = jnp.asarray(NO_LABEL, jnp.int32) if label_B is None else label_B
    size, width = features_BxF.shape
    shown = math.sqrt(width) * jax.nn.one_hot(label, classes, dtype=features_BxF.dtype)
    shown_BxC = jnp.broadcast_to(shown, (size, classes))
    return jnp.concatenate([features_BxF, shown_BxC], axis=-1)


def drop_labels(key: Array, label_B: Array, share: float) -> Array:
    """The labels, each replaced by `NO_LABEL` with the probability `share`.

    Examples:
        >>> drop_labels(jax.random.key(0), jnp.array([3, 1]), share=1.0).tolist()
        [-1, -1]
    """
    is_dropped_B = jax.random.uniform(key, label_B.shape, jnp.float32) < share
    return jnp.where(is_dropped_B, NO_LABEL, label_B)


def given(label_B: Any) -> dict[str, Any]:
    """The argument `label_B` of a method, left out where there is no label: models that take no
    labels have no such argument."""
    return {} if label_B is None else {"label_B": label_B}


def check_labels(name: str, labels: ArrayLike, size: int, classes: int) -> np.ndarray:
    """The labels of so many examples, int32 (N,).

    Args:
        name: of the argument.
        labels: whole numbers (N,).
        size: N.
        classes: how many there are.

    Raises:
        ValueError: another type or shape, or labels outside [0, classes - 1].

    Examples:
        >>> check_labels("labels", [0, 10], size=2, classes=10)
        Traceback (most recent call last):
        ValueError: labels must lie between 0 and 9, as classes is 10, got 0 to 10
    """
    found = np.asarray(labels)
    if found.shape != (size,) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(
            f"{name} must be whole numbers of shape ({size},), one of each example, "
            f"got {found.dtype} of shape {found.shape}"
        )
    if found.min() < 0 or found.max() >= classes:
        raise ValueError(
            f"{name} must lie between 0 and {classes - 1}, as classes is {classes}, "
            f"got {found.min()} to {found.max()}"
        )
    return found.astype(np.int32)


def check_asked(label: ArrayLike | None, size: int, classes: int) -> np.ndarray | None:
    """The label that a trained model is asked for, int32 (N,); None where it is asked for none.

    Args:
        label: one for all examples, or one of each (N,).
        size: N.
        classes: of the model.

    Raises:
        ValueError: a label for a model without classes; else as `check_labels`.

    Examples:
        >>> check_asked(3, size=2, classes=10).tolist()
        [3, 3]
    """
    if label is None:
        return None
    if not classes:
        raise ValueError(f"label must be None for a model without classes, got {label!r}")
    array = np.asarray(label)
    return check_labels("label", np.full(size, array) if array.ndim == 0 else array, size, classes)


def of_chunk(label_N: np.ndarray | None, start: int, size: int) -> Array | None:
    """The labels of a chunk of that size, `NO_LABEL` for what pads it.

    Examples:
        >>> of_chunk(np.array([4, 5, 6]), start=2, size=2).tolist()
        [6, -1]
    """
    if label_N is None:
        return None
    taken = label_N[start : start + size].astype(np.int32)
    return jnp.asarray(np.pad(taken, (0, size - len(taken)), constant_values=NO_LABEL))
