"""Bytes that a compiled program reads from the memory of its device, and writes to it.

What an instruction takes is read once and what it gives is written once, unless it lies in a memory
of the chip itself. Within a fusion nothing is moved. Where only a slice of an array is used, or
replaced in place, the slice counts. A product that does not fit into the chip may read its operands
more than once, and a cache may hold what was just written: neither is in the text of the program.
Sizes are those of the arrays without the padding of their layout.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.bench.compiled.hlo import ArrayType, Hlo, Instruction, Run, arrays

_MOVES_NOTHING = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("add-dependency", "opt-barrier", "partition-id", "replica-id"),
    *("while", "conditional", "call", "async-start", "async-update"),  # what they run does
}
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_TARGETS_THAT_MOVE_NOTHING = {"ConcatBitcast", "AllocateBuffer", "AssumeGatherIndicesInBound"}
_SLICES = ("dynamic-slice", "slice", "gather")
# The place of the result among the arrays in the type of what starts a copy.
_RESULT = {"copy-start": 0, "slice-start": 1, "dynamic-slice-start": 1}


class Traffic(NamedTuple):
    """Bytes of device memory.

    Attributes:
        read, written: outside of branches, loops times their length.
        in_branches: read or written in branches of conditions, of all branches together.
    """

    read: int
    written: int
    in_branches: int


def traffic(program: Hlo) -> Traffic:
    """What one run of a program moves.

    Examples:
        Two vectors of four floats are read, one is written:

        >>> traffic(Hlo.parse('''
        ... ENTRY %main (x: f32[4], y: f32[4]) -> f32[4] {
        ...   %x = f32[4]{0} parameter(0)
        ...   %y = f32[4]{0} parameter(1)
        ...   ROOT %z = f32[4]{0} add(%x, %y)
        ... }
        ... '''))
        Traffic(read=32, written=16, in_branches=0)
    """
    read = written = in_branches = 0
    for run in program.runs():
        reads, writes = (run.times * moved for moved in moves(program, run))
        if run.is_in_branch:
            in_branches += reads + writes
        else:
            read, written = read + reads, written + writes
    return Traffic(read, written, in_branches)


def moves(program: Hlo, run: Run) -> tuple[int, int]:
    """Bytes that an instruction reads and writes when it runs once."""
    instruction, kind = run.instruction, run.instruction.kind
    if kind in _MOVES_NOTHING or kind.endswith("-done"):
        return 0, 0
    target = _TARGET.search(instruction.attributes)
    if target and target[1] in _TARGETS_THAT_MOVE_NOTHING:
        return 0, 0
    operands = [arrays(run.types.get(name, "")) for name in instruction.operands]
    results = arrays(instruction.type)
    if kind in _RESULT:
        result = results[_RESULT[kind]]
        is_read = any(not array.is_on_chip for array in operands[0])
        return result.bytes * is_read, result.bytes * (not result.is_on_chip)
    reads = [_in_memory(arrays) for arrays in operands]
    writes = _in_memory(results)
    if kind == "fusion":
        (fused,) = instruction.called("calls")
        parts = _parts_read(program, fused)
        reads = [min(read, parts.get(place, read)) for place, read in enumerate(reads)]
        updated = _parts_written(program.computations[fused])
        writes = writes if updated is None else min(writes, updated)
    elif kind in _SLICES:
        reads[0] = min(reads[0], _size(results))
    elif kind == "dynamic-update-slice":
        reads[0], writes = 0, min(writes, _size(operands[1]))
    elif kind.endswith("-start"):  # their type names the operands, too
        writes = max(0, writes - sum(reads)) or writes
    return sum(reads), writes


def _parts_read(program: Hlo, computation: str) -> Mapping[int, int]:
    """Number of a parameter of a fusion -> bytes of it that are used, where only slices are."""
    instructions = program.computations[computation]
    types = {instruction.name: instruction.type for instruction in instructions}
    number = {
        instruction.name: int(instruction.operand_text)
        for instruction in instructions
        if instruction.kind == "parameter"
    }
    used: dict[int, list[int]] = {}
    for instruction in instructions:
        if instruction.kind == "bitcast" and instruction.operands[0] in number:
            number[instruction.name] = number[instruction.operands[0]]
            continue
        for place, operand in enumerate(instruction.operands):
            if operand in number:
                size = _size(arrays(types[operand]))
                size = min(size, _used(program, instruction, place, size))
                used.setdefault(number[operand], []).append(size)
    return {parameter: sum(sizes) for parameter, sizes in used.items()}


def _used(program: Hlo, instruction: Instruction, place: int, size: int) -> int:
    """How many bytes of an operand an instruction within a fusion uses."""
    if instruction.kind in _SLICES and place == 0:
        return _size(arrays(instruction.type))
    if instruction.kind == "dynamic-update-slice" and place == 0:
        return 0
    if instruction.kind == "fusion":
        (fused,) = instruction.called("calls")
        return _parts_read(program, fused).get(place, size)
    return size


def _parts_written(instructions: Sequence[Instruction]) -> int | None:
    """Bytes that a fusion replaces in place; None if it does not."""
    by_name = {instruction.name: instruction for instruction in instructions}
    (root,) = (instruction for instruction in instructions if instruction.is_root)
    results = [by_name[name] for name in root.operands] if root.kind == "tuple" else [root]
    total, is_update = 0, False
    for result in results:
        while result.kind == "bitcast":
            result = by_name[result.operands[0]]
        if result.kind == "dynamic-update-slice":
            is_update = True
            total += _size(arrays(by_name[result.operands[1]].type))
        else:
            total += _size(arrays(result.type))
    return total if is_update else None


def _size(found: Sequence[ArrayType]) -> int:
    return sum(array.bytes for array in found)


def _in_memory(found: Sequence[ArrayType]) -> int:
    return sum(array.bytes for array in found if not array.is_on_chip)
