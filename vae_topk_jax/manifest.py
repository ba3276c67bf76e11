"""The SHA-256 sums of the files of a folder, kept in the folder.

A file `MANIFEST` in the form of `sha256sum`: a line `sum  path` for each file, sorted by path, and
last the sum of these lines under its own name.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from vae_topk_jax.files import write_atomic

NAME = "MANIFEST"


class DamagedError(ValueError):
    """A folder that is not what its manifest says."""


def write_manifest(folder: Path) -> None:
    """Writes the manifest of all files under `folder`, once they are on the disk."""
    for name in _files(folder):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    write_atomic(folder / NAME, _text(_sums(folder)))


def verify(folder: Path, besides: Collection[str] = ()) -> None:
    """Compares the files under `folder` with its manifest, byte for byte.

    Args:
        folder: the folder.
        besides: names in it, of files or folders, that the manifest need not have.

    Raises:
        DamagedError: a file that is changed, missing or not in the manifest, by name.
        OSError: a file that cannot be read, damaged or not.
    """
    if not (folder / NAME).is_file():
        raise DamagedError(f"{folder / NAME} is missing")
    stored, sums = (folder / NAME).read_bytes(), _sums(folder)
    if stored == _text(sums):
        return
    said = _parse(folder / NAME, stored)
    for name in sorted(sums.keys() | said.keys()):
        if name not in sums:
            raise DamagedError(f"{folder / name} is missing")
        if name not in said and Path(name).parts[0] not in besides:
            raise DamagedError(f"{folder / name} is not in the manifest")
        if sums[name] != said.get(name, sums[name]):
            raise DamagedError(f"{folder / name} is damaged: its SHA-256 is not the manifest's")


def _files(folder: Path) -> list[str]:
    def refuse(error: OSError) -> None:  # a folder that cannot be listed is not an empty one
        raise error

    found = []
    for place, folders, files in os.walk(folder, onerror=refuse):
        paths = [Path(place) / name for name in (*folders, *files)]
        found += [path for path in paths if path.is_file() or path.is_symlink()]
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if name != NAME)


def _sums(folder: Path) -> dict[str, str]:
    sums = {}
    for name in _files(folder):
        with (folder / name).open("rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _text(sums: dict[str, str]) -> bytes:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
    return lines + f"{hashlib.sha256(lines).hexdigest()}  {NAME}\n".encode()


def _parse(path: Path, stored: bytes) -> dict[str, str]:
    try:
        lines = stored.decode().splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except ValueError:
        raise DamagedError(f"{path} is damaged") from None
    sums.pop(NAME, None)
    if _text(sums) != stored:
        raise DamagedError(f"{path} is damaged")
    return sums
