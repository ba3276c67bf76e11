"""Compiles programs for accelerators that are not here, and prints what was counted in them.

python -m experiments.bench.processes.compile_ahead CHIP DEVICES SIZES [TITLE ...]

Prints one JSON object a line for each program.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from experiments.bench.compiled.chips import CHIPS, Chip, ChipName
from experiments.bench.compiled.facts import facts
from experiments.bench.compiled.programs import programs
from experiments.bench.sizes import Sizes


def compile_all(
    chip: Chip, count: int, sizes: Sizes, titles: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The metrics of every program, or of those with these titles, or why the compiler refuses
    it."""
    known = dict(programs(chip.devices(count), sizes))
    for title in titles or known:
        trace = known[title]
        started = time.perf_counter()
        try:
            compiled = trace().lower().compile()
        except jax.errors.JaxRuntimeError as error:
            yield {"title": title, "error": str(error).splitlines()[0]}
            continue
        seconds = time.perf_counter() - started
        yield {"title": title, "metrics": facts(compiled, chip), "seconds": seconds}


def main(name: ChipName, count: str, sizes: str, *titles: str) -> None:
    """Prints what is found as it is found."""
    for line in compile_all(CHIPS[name], int(count), Sizes(**json.loads(sizes)), titles):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
