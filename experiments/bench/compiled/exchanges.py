"""What the devices that share a program send each other."""

from collections import Counter

from experiments.bench.compiled.hlo import Hlo, Run, arrays

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


def count_exchanges(program: Hlo) -> dict[str, int]:
    """How often devices exchange something in a run of an optimised program, and how many bytes of
    each device.

    Returns:
        "all_reduces" and "all_reduce_bytes", "all_gathers" and "all_gather_bytes" (of the result),
        and so on; the same with "_in_branches" for those that only one of two branches makes. What
        does not occur is left out.

    Examples:
        >>> count_exchanges(Hlo.parse('''
        ... ENTRY %main (x: f32[4]) -> f32[4] {
        ...   %x = f32[4]{0} parameter(0)
        ...   ROOT %sum = f32[4]{0} all-reduce(%x), to_apply=%add
        ... }
        ... '''))
        {'all_reduces': 1, 'all_reduce_bytes': 16}
    """
    counts: Counter[str] = Counter()
    for run in program.runs(into_fusions=True):
        kind = run.instruction.kind.removesuffix("-start")
        if kind not in _KINDS:
            continue
        name, where = kind.replace("-", "_"), "_in_branches" if run.is_in_branch else ""
        counts[f"{name}s{where}"] += run.times
        counts[f"{name}_bytes{where}"] += run.times * _result_bytes(run)
    return dict(counts)


def _result_bytes(run: Run) -> int:
    """Of the result; the type of what only starts an exchange may name the operands, too."""
    instruction = run.instruction
    size = sum(array.bytes for array in arrays(instruction.type))
    if not instruction.kind.endswith("-start"):
        return size
    if instruction.kind == "all-reduce-start" and not instruction.type.startswith("(("):
        return size
    operands = (run.types.get(name, "") for name in instruction.operands)
    return size - sum(array.bytes for operand in operands for array in arrays(operand))
