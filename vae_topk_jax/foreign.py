"""The boundary for folders that strangers may have made: what a run, a checkpoint or a folder of
model files must be before anything in it is hashed, parsed or given memory.

Regular files with names that can be printed; anything else gives a ValueError of one line that
names it. `vae_topk_jax.json_object` does the same for what is in a JSON file.
"""

import os
import stat
from io import BufferedReader
from pathlib import Path

_MOST_LEVELS = 32  # of folders in folders
_LARGE = 1 << 30  # bytes from which on a file may not be a thousand times what it takes on the disk


def regular_files(folder: Path) -> list[str]:
    """The files under a folder by their paths in it, sorted.

    Raises:
        ValueError: anything in it that is neither a folder nor a regular file, such as a link or a
            device; a name that cannot be printed; folders nested too deep; a large file of holes.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "a").mkdir()
        ...     (Path(folder) / "a" / "b").touch()
        ...     regular_files(Path(folder))
        ['a/b']
    """
    files, folders = [], [""]
    while folders:
        inside = folders.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                name = inside + entry.name
                if not entry.name.isprintable():
                    raise ValueError(f"{folder} holds a name that cannot be printed: {name!a}")
                if not entry.is_dir(follow_symlinks=False):
                    check_regular(folder / name)
                    files.append(name)
                elif name.count("/") < _MOST_LEVELS:
                    folders.append(f"{name}/")
                else:
                    raise ValueError(f"{folder} holds folders nested deeper than {_MOST_LEVELS}")
    return sorted(files)


def check_regular(path: Path, *, follow_link: bool = False) -> None:
    """Refuses what is no regular file, or with `follow_link` no link to one; errors as
    `open_regular`."""
    status = path.stat(follow_symlinks=follow_link)
    if stat.S_ISLNK(status.st_mode):
        raise ValueError(f"{path} must be a regular file, got a link: copy what it leads to")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} must be a regular file, got a folder, pipe, socket or device")
    on_disk = 512 * getattr(status, "st_blocks", status.st_size)
    if status.st_size >= _LARGE and on_disk < status.st_size / 1000:
        raise ValueError(
            f"{path} has {status.st_size:,} bytes, of which the disk holds {on_disk:,}"
        )


def open_regular(path: Path, *, follow_link: bool = False) -> BufferedReader:
    """A regular file, opened for reading.

    Raises:
        ValueError: it is something else, such as a link or a pipe, which is not waited for.
        OSError: it is missing or cannot be read.
    """
    check_regular(path, follow_link=follow_link)
    return path.open("rb")


def read_regular(path: Path, most: int, *, follow_link: bool = False) -> bytes:
    """The content of a regular file; errors as `open_regular`.

    Raises:
        ValueError: more than `most` bytes.
    """
    with open_regular(path, follow_link=follow_link) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{path} must have at most {most:,} bytes, got {size:,}")
        return file.read()
