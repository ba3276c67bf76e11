"""Safetensors files of a known layout: names, types and shapes are checked before a value is read,
and values before they are given back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from vae_topk_jax.files import write_atomic
from vae_topk_jax.foreign import check_regular

FLOATS = ("F32", "BF16", "F16")  # all of them are exact in float32
INTEGERS = ("I32", "I64")
_NAMES = {"F32": "float32", "I32": "int32"}
_PLAIN = ("F32", "I32", "BOOL")
_ABSENT = "left out"


class Layout(NamedTuple):
    """What a tensor must be.

    Attributes:
        axes: a letter per axis; those of one letter have the same size throughout a file.
        types: that safetensors may name.
    """

    axes: str
    types: tuple[str, ...] = FLOATS


def read_tensors(
    path: Path, layouts: Mapping[str, Layout], optional: Mapping[str, Layout] | None = None
) -> dict[str, np.ndarray]:
    """The tensors of a file by name, floats as float32.

    Args:
        path: of a safetensors file.
        layouts: of the tensors that it must hold.
        optional: of those that it may hold; it holds no others.

    Raises:
        ValueError: not a safetensors file, or no regular one; tensors that are missing, that are
            none of these, of another type or shape, or not finite, by name.
        FileNotFoundError: no such file.
    """
    check_regular(path, follow_link=True)
    known = {**layouts, **(optional or {})}
    sizes: dict[str, int] = {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if missing := sorted(layouts.keys() - names):
                raise ValueError(f"{path} lacks {', '.join(missing)}")
            if extra := sorted(names - known.keys()):
                raise ValueError(
                    f"{path} must hold {', '.join(known)} alone, got {', '.join(extra)}"
                )
            for name in (name for name in known if name in names):
                _check(path, name, known[name], file.get_slice(name), sizes)
            tensors = {name: file.get_tensor(name) for name in known if name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    for name, tensor in tensors.items():
        if known[name].types == FLOATS:
            tensors[name] = tensor = tensor.astype(np.float32)
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} in {path} must be finite, got NaN or infinite values")
    return tensors


def tensor_names(path: Path) -> frozenset[str]:
    """The names in a file, of whatever tensors.

    Raises:
        ValueError: not a safetensors file, or no regular one.
        FileNotFoundError: no such file.
    """
    check_regular(path, follow_link=True)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return frozenset(file.keys())
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None


def read_expected(path: Path, expected: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The tensors of a file, which must be those that are expected, no more and no fewer.

    Args:
        path: of a safetensors file.
        expected: what has the `dtype` (float32 or int32) and the `shape` of each, by name.

    Raises:
        ValueError: not a safetensors file; a tensor that is missing, not expected or of another
            type or shape, by name.
    """
    try:
        check_regular(path, follow_link=True)
        with safetensors.safe_open(path, framework="numpy") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            for name in sorted(found.keys() | expected.keys()):
                want, have = _wanted(expected.get(name)), _found(found.get(name))
                if want != have:
                    raise ValueError(f"{name} in {path} must be {want}, got {have}")
            return {name: file.get_tensor(name) for name in found}
    except (safetensors.SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None


def read_all(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a file by name: float32, int32 or bool, and finite.

    Raises:
        ValueError: not a safetensors file, or no regular one; a tensor of another type or with
            values that are not finite, by name.
    """
    try:
        check_regular(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            for name in names:
                if (dtype := file.get_slice(name).get_dtype()) not in _PLAIN:
                    raise ValueError(f"{name} in {path} must be {' or '.join(_PLAIN)}, got {dtype}")
            tensors = {name: file.get_tensor(name) for name in names}
    except (safetensors.SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} in {path} must be finite, got NaN or infinite values")
    return tensors


def write_tensors(
    path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes arrays by name, all of them or none; the folder must be there."""
    # safetensors writes the memory as it lies: a transposed view must be copied first
    copied = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    write_atomic(path, safetensors.numpy.save(copied, None if metadata is None else dict(metadata)))


def _wanted(leaf: Any) -> str:
    return _ABSENT if leaf is None else f"{leaf.dtype}{tuple(leaf.shape)}"


def _found(tensor: Any) -> str:
    if tensor is None:
        return _ABSENT
    dtype = tensor.get_dtype()
    return f"{_NAMES.get(dtype, dtype)}{tuple(tensor.get_shape())}"


def _check(path: Path, name: str, layout: Layout, found: Any, sizes: dict[str, int]) -> None:
    if found.get_dtype() not in layout.types:
        types = " or ".join(layout.types)
        raise ValueError(f"{name} in {path} must be {types}, got {found.get_dtype()}")
    shape = tuple(found.get_shape())
    if len(shape) == len(layout.axes):
        for letter, size in zip(layout.axes, shape, strict=True):
            sizes.setdefault(letter, size)
    expected = tuple(sizes.get(letter, letter) for letter in layout.axes)
    if shape != expected:
        raise ValueError(f"{name} in {path} must have shape {expected}, got {shape}")
