"""What the text of a compiled program says about a run of it, as the metrics of a row."""

import re
from collections.abc import Iterator

from jax.stages import Compiled

from experiments.bench.compiled.chips import Chip
from experiments.bench.compiled.exchanges import count_exchanges
from experiments.bench.compiled.hlo import Hlo, arrays
from experiments.bench.compiled.products import product_flops
from experiments.bench.compiled.traffic import traffic

MB = 1e6
_SORTS = re.compile(r'custom_call_target="[^"]*(Sort|TopK)')


def facts(compiled: Compiled, chip: Chip) -> dict[str, float]:
    """Of one device: memory, and what its text says.

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
    return {name: value for name, value in found.items() if value}


def text_facts(text: str, chip: Chip) -> dict[str, float]:
    """Of the text alone: traffic, products, exchanges, sorts, conditions, and uses of float64."""
    program = Hlo.parse(text)
    moved, flops = traffic(program), product_flops(program)
    bandwidth_s, flops_s = (moved.read + moved.written) / chip.bandwidth, flops / chip.flops
    kinds = [run.instruction.kind for run in program.runs()]
    sorted_entries = list(_sorted_entries(program))
    return {
        "read_mb": moved.read / MB,
        "written_mb": moved.written / MB,
        "in_branches_mb": moved.in_branches / MB,
        "gflop": flops / 1e9,
        "bandwidth_ms": 1e3 * bandwidth_s,
        "flops_ms": 1e3 * flops_s,
        "bound_ms": 1e3 * max(bandwidth_s, flops_s),
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
        is_library = kind == "custom-call" and _SORTS.search(attributes)
        if kind in ("sort", "topk") or is_library:
            taken = arrays(run.types[run.instruction.operands[0]])
            yield max(array.size for array in taken)
