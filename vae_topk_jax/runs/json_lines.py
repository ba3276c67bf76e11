"""Files of one JSON object per line, each of them about a step, to which a run adds lines.

A power cut may leave less than was written at the end of such a file, or zeros, or half a line.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vae_topk_jax.files import sync_folder, write_atomic
from vae_topk_jax.foreign import read_regular

_MOST = 1 << 30  # bytes
_log = logging.getLogger(__name__)


def append_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Adds the objects, each with a `step`; they are on the disk when this returns."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file up to the first line that is broken; none if there is no such file.

    Raises:
        ValueError: it is no regular file.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "lines"
        ...     append_lines(path, [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}])
        ...     os.truncate(path, path.stat().st_size - 4)
        ...     read_lines(path)
        [{'step': 1, 'loss': 0.5}]
    """
    return _read(path)[0]


def drop_after(path: Path, step: int) -> None:
    """Leaves the lines up to that step, in a file that is made if it is missing.

    A broken line and what follows it are dropped, which is logged.
    """
    lines, broken = _read(path)
    if broken:
        _log.warning(
            "%s: dropped %d bytes after step %d that are no line of it, as a crash leaves them",
            path,
            broken,
            lines[-1]["step"] if lines else 0,
        )
    kept = [line for line in lines if line["step"] <= step]
    write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The intact lines, and how many bytes follow them."""
    try:
        content = read_regular(path, _MOST)
    except FileNotFoundError:
        return [], 0
    lines: list[dict[str, Any]] = []
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        if (line := _parse(content[start:end])) is None:
            break
        lines.append(line)
        start = end + 1
    return lines, len(content) - start


def _parse(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and type(line.get("step")) is int else None
