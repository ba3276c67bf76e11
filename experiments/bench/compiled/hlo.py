"""The text of an optimised program: its instructions, and how often each of them runs."""

import math
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

_COMPUTATION = re.compile(
    r"^(?P<entry>ENTRY )?%(?P<name>[\w.-]+) \(.*?\{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL
)
_INSTRUCTION = re.compile(
    r"^\s*(?P<root>ROOT )?%(?P<name>[\w.-]+) = (?P<type>.+?) (?P<kind>[a-z][\w-]*)\((?P<rest>.*)$"
)
_NAME = re.compile(r"%([\w.-]+)")
_CALLED = re.compile(r"\b(calls|to_apply|body|condition|\w+_computations?)=\{?((?:%[\w.-]+,? ?)+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_ARRAY = re.compile(r"\b(?:pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<shape>[\d,]*)\](?P<layout>\{[^}]*\})?")
_ON_CHIP = re.compile(r"S\([1-9]\d*\)")
# What runs the computations that it names; others (fusions, reductions) only describe themselves.
_RUNS_OTHERS = {"while", "conditional", "call", "async-start"}


class Instruction(NamedTuple):
    """One line of a program.

    Attributes:
        name, type, kind: `%name = type kind(...)`.
        operands: names of the instructions whose results it takes.
        attributes: what follows the operands.
        is_root: whether its result is that of its computation.
        operand_text: what stands between the parentheses.
    """

    name: str
    type: str
    kind: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool
    operand_text: str

    def called(self, *roles: str) -> list[str]:
        """The computations that it names, of all roles ("calls", "body", ...) or of these."""
        found = _CALLED.findall(self.attributes)
        return [
            name
            for role, names in found
            if not roles or role in roles
            for name in _NAME.findall(names)
        ]


class Run(NamedTuple):
    """An instruction that runs.

    Attributes:
        instruction: which.
        times: how often in one run of the program.
        is_in_branch: whether a condition decides about it.
        types: the types of what is named in its computation.
    """

    instruction: Instruction
    times: int
    is_in_branch: bool
    types: Mapping[str, str]


@dataclass(frozen=True)
class Hlo:
    """An optimised program.

    Attributes:
        entry: the name of the computation that starts.
        computations: name -> instructions.
    """

    entry: str
    computations: Mapping[str, list[Instruction]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `compiled.as_text()` gives.

        Examples:
            >>> program = Hlo.parse('''
            ... ENTRY %main (x: f32[4]) -> f32[4] {
            ...   %x = f32[4]{0} parameter(0)
            ...   ROOT %y = f32[4]{0} add(%x, %x)
            ... }
            ... ''')
            >>> [run.instruction.kind for run in program.runs()]
            ['parameter', 'add']
        """
        computations, entries = {}, []
        for found in _COMPUTATION.finditer(text):
            lines = map(_INSTRUCTION.match, found["body"].splitlines())
            computations[found["name"]] = [_instruction(line) for line in lines if line]
            if found["entry"]:
                entries.append(found["name"])
        (entry,) = entries
        return cls(entry, computations)

    def runs(self, into_fusions: bool = False) -> Iterator[Run]:
        """Every instruction that runs, once for each place from which its computation is called.

        A loop of a known length runs its body so often; one of another length counts once.

        Args:
            into_fusions: also what is fused into one instruction.
        """
        runs_others = {*_RUNS_OTHERS, "fusion"} if into_fusions else _RUNS_OTHERS
        yield from self._runs(self.entry, 1, False, runs_others)

    def _runs(
        self, name: str, times: int, is_in_branch: bool, runs_others: Container[str]
    ) -> Iterator[Run]:
        instructions = self.computations.get(name, [])
        types = {instruction.name: instruction.type for instruction in instructions}
        for instruction in instructions:
            yield Run(instruction, times, is_in_branch, types)
            if instruction.kind not in runs_others:
                continue
            inner = times * self.trips(instruction) if instruction.kind == "while" else times
            below = is_in_branch or instruction.kind == "conditional"
            for called in instruction.called():
                yield from self._runs(called, inner, below, runs_others)

    def trips(self, loop: Instruction) -> int:
        """How often the body of a loop runs: as annotated, or the limit in its condition."""
        if annotated := _TRIPS.search(loop.attributes):
            return int(annotated[1])
        limits = [
            int(instruction.operand_text)
            for name in loop.called("condition")
            for instruction in self.computations.get(name, [])
            if instruction.kind == "constant" and instruction.operand_text.isdigit()
        ]
        return max(limits, default=1)


def _instruction(found: re.Match[str]) -> Instruction:
    end = _closing(found["rest"])
    operands = found["rest"][:end]
    return Instruction(
        found["name"],
        found["type"],
        found["kind"],
        tuple(_NAME.findall(operands)),
        found["rest"][end + 1 :],
        bool(found["root"]),
        operands,
    )


def _closing(text: str) -> int:
    """Where the parenthesis ends that was opened before the text."""
    depth = 1
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place
    return len(text)


class ArrayType(NamedTuple):
    """An array in a type.

    Attributes:
        shape: of it.
        bits: of an entry.
        is_on_chip: whether it lies in a memory of the chip itself (`S(1)` and so on, on TPUs).
    """

    shape: tuple[int, ...]
    bits: int
    is_on_chip: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return -(-self.size * self.bits // 8)


def arrays(type_text: str) -> list[ArrayType]:
    """The arrays of a type.

    Examples:
        >>> [array.bytes for array in arrays("(f32[2,3]{1,0}, pred[4]{0:S(1)}, s32[])")]
        [24, 4, 4]
    """
    return [
        ArrayType(
            tuple(int(length) for length in found["shape"].split(",") if length),
            int(found["bits"] or 8),
            bool(_ON_CHIP.search(found["layout"] or "")),
        )
        for found in _ARRAY.finditer(type_text)
    ]
