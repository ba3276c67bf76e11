"""The SHA-256 checksums of the files of a folder, kept in the folder.

A file `MANIFEST` in the form of `sha256sum`: a line `checksum  path` for each file, sorted by path,
and last the checksum of these lines under its own name. It shows accidents; it is no signature, for
whoever changes a file can write its line anew.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from vae_topk_jax.files import write_atomic
from vae_topk_jax.foreign import open_regular, read_regular, regular_files

NAME = "MANIFEST"
_MOST = 64 << 20  # bytes of a manifest


class DamagedError(ValueError):
    """A folder that is not what its manifest says."""


def write_manifest(folder: Path) -> None:
    """Writes the manifest of all files under `folder`, once they are on the disk.

    Raises:
        ValueError: something in it is no regular file.
    """
    names = [name for name in regular_files(folder) if name != NAME]
    for name in names:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    write_atomic(folder / NAME, _text({name: _checksum(folder / name) for name in names}))


def verify(folder: Path, besides: Collection[str] = ()) -> None:
    """Compares the files under `folder` with its manifest, byte for byte.

    Args:
        folder: the folder.
        besides: names in it, of files or folders, that the manifest need not have.

    Raises:
        DamagedError: a file that is changed, missing or not in the manifest, by name.
        OSError: a file that cannot be read, damaged or not.
        ValueError: anything that is no regular file, before a single one is read; as
            `vae_topk_jax.foreign.regular_files`.
    """
    names = set(regular_files(folder))
    if NAME not in names:
        raise DamagedError(f"{folder / NAME} is missing")
    stored = _parse(folder / NAME)
    for name in sorted(names - {NAME} | stored.keys()):
        if name not in names:
            raise DamagedError(f"{folder / name} is missing")
        if name not in stored and Path(name).parts[0] not in besides:
            raise DamagedError(f"{folder / name} is not in the manifest")
    for name, checksum in stored.items():
        if _checksum(folder / name) != checksum:
            raise DamagedError(f"{folder / name} is damaged: its SHA-256 is not the manifest's")


def _checksum(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(checksums: dict[str, str]) -> bytes:
    lines = "".join(f"{checksum}  {name}\n" for name, checksum in checksums.items()).encode()
    return lines + f"{hashlib.sha256(lines).hexdigest()}  {NAME}\n".encode()


def _parse(path: Path) -> dict[str, str]:
    """The checksums by path, if the text is what `_text` makes of them."""
    content = read_regular(path, _MOST)
    try:
        lines = [line.split("  ", 1) for line in content.decode().splitlines()]
        checksums = {name: checksum for checksum, name in lines}
    except ValueError:
        raise DamagedError(f"{path} is damaged") from None
    checksums.pop(NAME, None)
    if _text(checksums) != content:
        raise DamagedError(f"{path} is damaged")
    return checksums
