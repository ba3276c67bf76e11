"""What a door is: a kind of file or folder that data are read from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.splits import Found

Log = Callable[[str], object]


class Request(NamedTuple):
    """What a door reads.

    Attributes:
        path: a file or a folder.
        options: how.
        cache: root of the cache.
        log: takes a line about what is left out, or takes its time.
    """

    path: Path
    options: DataOptions
    cache: Path
    log: Log


class Door(NamedTuple):
    """One kind of data.

    Attributes:
        title: of the kind, as in "a .npy file".
        opens: whether a path is of this kind; looks at names, or at the first bytes.
        load: reads it.
        takes: options that it heeds, besides those for all data.
    """

    title: str
    opens: Callable[[Path], bool]
    load: Callable[[Request], Found]
    takes: frozenset[str] = frozenset()


def name_of(path: Path) -> str:
    """The last part of a path, in characters that can be written."""
    return path.resolve().name.encode("utf-8", "backslashreplace").decode()
