"""A choice that is made when a program is lowered: whether a compiler will split it over devices.

Kernels written by hand cannot be split. While a function is traced nobody knows whether it will be:
that depends on where the arrays lie that are given to the whole program.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
from jax import Array
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir

Result = TypeVar("Result")

_choice_p = Primitive("unless_split")
_choice_p.multiple_results = True


def unless_split(
    whole: Callable[..., Result], split: Callable[..., Result], axis_name: str | None
) -> Callable[..., Result]:
    """`whole` in a program for one device, and where `shard_map` splits it by hand; `split` in a
    program that a compiler splits, under `vmap`, and in an export for several platforms.

    Args:
        whole, split: functions of arrays, with results of the same shapes and types.
        axis_name: mapped axis over which they exchange something.

    Examples:
        >>> double = unless_split(lambda x: x + x, lambda x: 2 * x, axis_name=None)
        >>> jax.jit(double)(3.0).item(), jax.vmap(double)(jax.numpy.ones(2)).tolist()
        (6.0, [2.0, 2.0])
    """
    if axis_name is not None and axis_name not in jax.sharding.get_abstract_mesh().manual_axes:
        return split  # an axis of `vmap`

    def choose(*operands: Array) -> Result:
        of_whole = jax.make_jaxpr(whole)(*operands)
        of_split, results = jax.make_jaxpr(split, return_shape=True)(*operands)
        found = _choice_p.bind(*operands, whole=of_whole, split=of_split)
        return jax.tree.unflatten(jax.tree.structure(results), found)

    return choose


@_choice_p.def_impl
def _run(*operands: Array, whole: ClosedJaxpr, split: ClosedJaxpr) -> Sequence[Array]:
    return jaxpr_as_fun(split)(*operands)


@_choice_p.def_abstract_eval
def _types(*operands: Any, whole: ClosedJaxpr, split: ClosedJaxpr) -> Sequence[Any]:
    return split.out_avals


def _batch(
    operands: Sequence[Array], axes: Sequence[Any], *, whole: ClosedJaxpr, split: ClosedJaxpr
) -> tuple[Sequence[Array], Sequence[int]]:
    found = jax.vmap(jaxpr_as_fun(split), tuple(axes))(*operands)
    return found, [0] * len(found)


def _lower(ctx: Any, *operands: Any, whole: ClosedJaxpr, split: ClosedJaxpr) -> Any:
    chosen = whole if _is_whole(ctx.module_context) else split
    return mlir.lower_fun(jaxpr_as_fun(chosen), multiple_results=True)(ctx, *operands)


def _is_whole(module: Any) -> bool:
    """False as well for several platforms at once, and where this JAX does not tell."""
    context: Any = getattr(module, "axis_context", None)
    if len(getattr(module, "platforms", ())) != 1:
        return False
    if manual_axes := getattr(context, "manual_axes", ()):  # of `shard_map`
        return set(manual_axes) == set(context.mesh.axis_names)
    return getattr(context, "num_devices", None) == 1


batching.primitive_batchers[_choice_p] = _batch
mlir.register_lowering(_choice_p, _lower)
