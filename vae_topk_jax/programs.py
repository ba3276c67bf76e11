"""Exported programs, read from their files by another process first: a forged one can crash JAX's
parser, and with it the process that parses."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jax import export as jax_export

from vae_topk_jax.foreign import open_regular

_CALL = re.compile(r"custom_call\b(?! @shape_assertion\()")  # which checks the size of the batch
_SECONDS = 60
_PARSE = """
import sys
from jax import export
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        print(flush=True)
        export.deserialize(bytearray(file.read())).mlir_module()
"""


def try_programs(paths: Sequence[Path]) -> None:
    """Parses programs in a process of its own, which takes about as long as importing JAX.

    Raises:
        ValueError: it crashes on one of them (named), refuses it or does not end.
        OSError: it cannot be started.
    """
    command = [sys.executable, "-P", "-c", _PARSE, *map(str, paths)]
    settings = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        command,
        env=os.environ | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            begun, said = process.communicate(timeout=_SECONDS)
            reason = (
                said.strip().rpartition("\n")[2] if process.returncode > 0 else "it crashes JAX"
            )
        except subprocess.TimeoutExpired:
            process.kill()
            begun, _ = process.communicate()
            reason = f"it is not parsed within {_SECONDS} seconds"
    if process.returncode and not begun:
        raise OSError(f"cannot parse programs with {sys.executable}: {reason}")
    if process.returncode:
        raise ValueError(f"{paths[len(begun) - 1]} is not an exported program: {reason}")


def read_program(path: Path, shapes: Sequence[tuple[int, ...]]) -> jax_export.Exported:
    """The program in a file.

    Args:
        path: the file.
        shapes: of an example that it takes (and of its label, where it takes one), and of one that
            it gives.

    Raises:
        ValueError: another file, one that calls code outside of itself, or other shapes.
    """
    try:
        with open_regular(path) as file:
            program = jax_export.deserialize(bytearray(file.read()))
        text = program.mlir_module()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} is not an exported program: {reason}") from None
    if _CALL.search(text):
        raise ValueError(f"{path} is refused: it calls code outside of itself")
    found = [aval.shape[1:] for aval in (*program.in_avals, *program.out_avals)]
    if found != list(shapes):
        raise ValueError(f"{path} must map {shapes[0]} to {shapes[-1]}, as config.json has it")
    return program
