"""What the text of a compiled program says about a run of it, as the metrics of a row."""

import math
from collections.abc import Iterator
from typing import Any

from jax.stages import Compiled, Traced

from experiments.bench.compiled.chips import Chip
from experiments.bench.compiled.exchanges import count_exchanges
from experiments.bench.compiled.hlo import Hlo, arrays
from experiments.bench.compiled.traffic import traffic

MB = 1e6


def facts(traced: Traced, compiled: Compiled, chip: Chip, devices: int) -> dict[str, float]:
    """Memory, traffic, products, exchanges and sorts of one device.

    Returns:
        Metrics by name; those that are zero are left out.
    """
    memory, text = compiled.memory_analysis(), compiled.as_text()
    assert memory is not None
    assert text is not None
    found: dict[str, float] = {
        "arguments_mb": memory.argument_size_in_bytes / MB,
        "outputs_mb": memory.output_size_in_bytes / MB,
        "aliased_mb": memory.alias_size_in_bytes / MB,
        "temporaries_mb": memory.temp_size_in_bytes / MB,
    }
    found["memory_mb"] = (
        found["arguments_mb"] + found["outputs_mb"] - found["aliased_mb"] + found["temporaries_mb"]
    )
    found |= text_facts(text, chip)
    flops = product_flops(traced.jaxpr) / devices
    found |= {"gflop": flops / 1e9, "flops_ms": 1e3 * flops / chip.flops}
    found["bound_ms"] = max(found["bandwidth_ms"], found["flops_ms"])
    return {name: value for name, value in found.items() if value}


def text_facts(text: str, chip: Chip) -> dict[str, float]:
    """Of the text alone: traffic, exchanges, sorts, conditions and whether it has float64."""
    program = Hlo.parse(text)
    moved = traffic(program)
    kinds = [run.instruction.kind for run in program.runs()]
    sorted_entries = list(_sorted_entries(program))
    return {
        "read_mb": moved.read / MB,
        "written_mb": moved.written / MB,
        "in_branches_mb": moved.in_branches / MB,
        "bandwidth_ms": 1e3 * (moved.read + moved.written) / chip.bandwidth,
        "conditionals": kinds.count("conditional"),
        "sorts": len(sorted_entries),
        "largest_sort": max(sorted_entries, default=0),
        "doubles": text.count("f64["),
        **count_exchanges(program),
    }


def _sorted_entries(program: Hlo) -> Iterator[int]:
    """How many entries each sort or Top-K takes."""
    for run in program.runs(into_fusions=True):
        kind, attributes = run.instruction.kind, run.instruction.attributes
        is_library = kind == "custom-call" and ("Sort" in attributes or "TopK" in attributes)
        if kind in ("sort", "topk") or is_library:
            taken = arrays(run.types[run.instruction.operands[0]])
            yield max(array.size for array in taken)


def product_flops(jaxpr: Any) -> int:
    """Two for each multiplication of the matrix products that a traced program asks for.

    The body of a scan counts for each of its turns; of the branches of a condition the cheapest
    counts.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> a, b = jnp.zeros((2, 3)), jnp.zeros((3, 5))
        >>> product_flops(jax.make_jaxpr(jnp.matmul)(a, b))
        60
    """
    total = 0
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        params = equation.params
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            inner = math.prod(shape[axis] for axis in contracted)
            total += 2 * equation.outvars[0].aval.size * inner
            continue
        below = [product_flops(inner) for value in params.values() for inner in _jaxprs(value)]
        if equation.primitive.name == "cond":
            total += min(below)
        else:
            total += params.get("length", 1) * sum(below)
    return total


def _jaxprs(value: Any) -> Iterator[Any]:
    for item in value if isinstance(value, tuple | list) else (value,):
        if hasattr(getattr(item, "jaxpr", item), "eqns"):
            yield item
