"""A prior as arrays by name, and back."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vae_topk_jax.priors.prior import Prior


def to_arrays(prior: Prior) -> dict[str, np.ndarray]:
    """The arrays of a prior by the paths of its fields, such as "bits/mean_U".

    Examples:
        >>> from vae_topk_jax.priors.patterns import Patterns
        >>> prior = Patterns(jnp.ones((1, 2), bool), jnp.zeros(1, int), *jnp.ones((2, 1, 2)))
        >>> to_arrays(prior)["std_YxD"]
        array([[1., 1.]], dtype=float32)
    """
    return {name: np.asarray(x) for name, x in flatten_dict(_as_tree(prior), sep="/").items()}


def from_arrays(kind: type[Prior], arrays: Mapping[str, np.ndarray], path: Path) -> Prior:
    """The inverse of `to_arrays`.

    Args:
        kind: class of the prior.
        arrays: as `to_arrays` gives them.
        path: of the prior's folder, for the message.

    Raises:
        ValueError: other names than those of the fields.
    """
    return _built(kind, unflatten_dict(dict(arrays), sep="/"), path)


def _as_tree(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _as_tree(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return {name: _as_tree(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: _as_tree(item) for name, item in value.items()}
    return value


def _built(kind: Any, tree: Any, path: Path) -> Any:
    """A prior, a NamedTuple of arrays, a mapping of arrays or an array, as its type says."""
    if not (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")):
        is_mapping = typing.get_origin(kind) is not None
        if is_mapping != isinstance(tree, dict):
            raise ValueError(f"{path} must hold the arrays of its prior alone, got others")
        return _on_device(tree)
    hints = {n: hint for n, hint in typing.get_type_hints(kind).items() if n != "before_mask"}
    if not isinstance(tree, dict) or tree.keys() != hints.keys():
        found = sorted(tree) if isinstance(tree, dict) else "an array"
        raise ValueError(f"{path} must hold {sorted(hints)} of its prior, got {found}")
    return kind(**{name: _built(hint, tree[name], path) for name, hint in hints.items()})


def _on_device(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _on_device(item) for name, item in tree.items()}
    return jnp.asarray(tree)
