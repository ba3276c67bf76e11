"""What lies in a folder of data, whatever is in the files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vae_topk_jax.data.errors import DataError, as_data_error

_NUMBER = re.compile(r"(\d+)")


class Listing(NamedTuple):
    """What lies in a folder, but for what is hidden, in the order in which people count."""

    folders: list[Path]
    files: list[Path]


def listing(folder: Path) -> Listing:
    """What lies in a folder.

    Raises:
        DataError: it cannot be read, or holds a name that cannot be printed.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b10", "b9", ".hidden"):
        ...         (Path(folder) / name).touch()
        ...     [path.name for path in listing(Path(folder)).files]
        ['b9', 'b10']
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.name.isprintable():
                    raise DataError(f"{folder} holds a name that cannot be printed: {entry.name!a}")
                (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise as_data_error(error, folder) from error
    in_order = (sorted(names, key=_natural) for names in (folders, files))
    return Listing(*([folder / name for name in names] for names in in_order))


def holds(folder: Path, is_one: Callable[[str], bool], levels: int = 0) -> bool:
    """Whether a folder holds a file of such a name; looks no further than the first.

    Args:
        folder: where to look; nothing is there where it is no folder.
        is_one: of a name in small letters.
        levels: of folders in it that are looked through as well.
    """
    if not folder.is_dir():
        return False
    inside = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    inside.append(folder / entry.name)
                elif is_one(entry.name.lower()):
                    return True
    except OSError as error:
        raise as_data_error(error, folder) from error
    return levels > 0 and any(holds(path, is_one, levels - 1) for path in inside)


def files_with(folder: Path, suffix: str) -> list[Path]:
    """The files in a folder whose names end so; none where it is no folder."""
    if not folder.is_dir():
        return []
    return [path for path in listing(folder).files if path.suffix.lower() == suffix]


def holds_shards(folder: Path, suffix: str) -> bool:
    """Whether a folder, or the folder train in it, holds files whose names end so."""
    return any(
        holds(place, lambda name: name.endswith(suffix)) for place in (folder, folder / "train")
    )


def _natural(name: str) -> list[str | int]:
    """Text and numbers in turns, so that texts are compared with texts."""
    parts: list[str | int] = [*_NUMBER.split(name)]
    parts[1::2] = map(int, parts[1::2])
    return parts
