"""What a door is: a kind of file or folder that data are read from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.options import DataOptions
from vae_topk_jax.data.splits import Found
from vae_topk_jax.foreign import check_regular

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


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, but for hidden files, in the order in which people count.

    Raises:
        DataError: a name that cannot be printed, a pipe, a socket or a device, or a link that leads
            nowhere.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b10", "b9", ".hidden"):
        ...         (Path(folder) / name).touch()
        ...     [path.name for path in entries(Path(folder))]
        ['b9', 'b10']
    """
    try:
        found = [folder / name for name in os.listdir(folder) if not name.startswith(".")]
        for path in found:
            if not path.name.isprintable():
                raise DataError(f"{folder} holds a name that cannot be printed: {path.name!a}")
            if not path.is_dir():
                check_regular(path, follow_link=True)
    except (OSError, ValueError) as error:
        raise as_data_error(error, folder) from error
    return sorted(found, key=_natural)


def files_with(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files in a folder whose names end so; none where it is no folder."""
    if not folder.is_dir():
        return []
    return [path for path in entries(folder) if path.suffix.lower() in suffixes]


def as_data_error(error: Exception, path: Path) -> DataError:
    """The error of a library, in one line that names the file."""
    if isinstance(error, DataError):
        return error
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    reason = reason.splitlines()[0][:300]
    return DataError(reason if str(path) in reason else f"{path}: cannot be read ({reason})")


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
