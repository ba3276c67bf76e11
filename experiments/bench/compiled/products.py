"""Matrix products of a compiled program."""

import math
import re

from experiments.bench.compiled.hlo import Hlo, Instruction, Run, arrays

_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_KERNEL = re.compile(r"dim_labels=\w+_(\w+)->")
_LIBRARIES = re.compile(r'custom_call_target="([^"]*(?:gemm|matmul|conv)[^"]*)"', re.IGNORECASE)


def product_flops(program: Hlo) -> int:
    """Two for each multiplication in products and convolutions outside of branches.

    Raises:
        ValueError: a product that a library makes, of which the text says too little.

    Examples:
        >>> product_flops(Hlo.parse('''
        ... ENTRY %main (a: f32[2,3], b: f32[3,5]) -> f32[2,5] {
        ...   %a = f32[2,3]{1,0} parameter(0)
        ...   %b = f32[3,5]{1,0} parameter(1)
        ...   ROOT %y = f32[2,5]{1,0} dot(%a, %b), lhs_contracting_dims={1}
        ... }
        ... '''))
        60
    """
    return sum(
        run.times * _flops(run) for run in program.runs(into_fusions=True) if not run.is_in_branch
    )


def _flops(run: Run) -> int:
    instruction = run.instruction
    if library := _LIBRARIES.search(instruction.attributes):
        raise ValueError(f"the products of {library[1]} cannot be counted")
    if instruction.kind not in ("dot", "convolution"):
        return 0
    (result,) = arrays(instruction.type)
    return 2 * result.size * _multiplied(instruction, run)


def _multiplied(instruction: Instruction, run: Run) -> int:
    """How many products are added up in an entry of the result."""
    shapes = [arrays(run.types[name])[0].shape for name in instruction.operands]
    if contracted := _CONTRACTED.search(instruction.attributes):
        return math.prod(shapes[0][int(axis)] for axis in contracted[1].split(",") if axis)
    labels = _KERNEL.search(instruction.attributes)
    assert labels is not None
    return math.prod(shapes[1]) // shapes[1][labels[1].index("o")]
