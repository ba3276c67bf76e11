"""Files that are written completely or not at all, at paths that every library can open."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "VAE_TOPK_CACHE"


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """`cache_dir`, VAE_TOPK_CACHE or the user's cache folder, whichever is given first."""
    root = cache_dir or os.environ.get(CACHE_VARIABLE)
    return Path(root or platformdirs.user_cache_dir("vae_topk_jax", appauthor=False))


def write_atomic(path: Path, content: bytes) -> None:
    """Writes beside the file, waits for the disk, and renames: no reader sees a part of it.

    Raises:
        OSError: the disk is full, the folder is gone or may not be written; an earlier file of this
            name is left as it was.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(Path(folder) / "a", b"text")
        ...     (Path(folder) / "a").read_bytes()
        b'text'
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextlib.contextmanager
def new_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder to fill beside `path`, which gets that name if the block ends without an error.

    Args:
        path: of the folder.
        replace: whether an earlier one may be there, which is removed then, and not before; a
            symbolic link stays, and leads to the new one.

    Raises:
        FileExistsError: `path` is there already, and is not to be replaced.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with new_folder(Path(folder) / "a") as partial:
        ...         write_atomic(partial / "b", b"text")
        ...     (Path(folder) / "a" / "b").read_bytes()
        b'text'
    """
    if path.exists() and not replace:
        raise FileExistsError(f"{path} exists already")
    if replace:
        path = path.resolve()
    partial, earlier = (
        path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial") for _ in range(2)
    )
    try:
        partial.mkdir(parents=True)
        yield partial
        for place, _, _ in os.walk(partial):
            sync_folder(Path(place))
        if replace and path.exists():
            path.rename(earlier)
        partial.rename(path)
        sync_folder(path.parent)
        shutil.rmtree(earlier, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_path(name: str, path: Path) -> None:
    """Refuses a path whose bytes are not those of its UTF-8, by which C++ libraries open files.

    Args:
        name: of the argument, for the message.
        path: the path.

    Raises:
        ValueError: there is no such path in this locale, or it has other bytes.

    Examples:
        >>> check_path("out", Path("runs/\\udcff"))
        Traceback (most recent call last):
        ValueError: out must be a path in UTF-8 (as LC_ALL=C.UTF-8 has them), got 'runs/\\udcff'
    """
    try:
        whole = os.path.realpath(path)
        is_same = os.fsencode(whole) == whole.encode()
    except UnicodeEncodeError:
        is_same = False
    if not is_same:
        raise ValueError(
            f"{name} must be a path in UTF-8 (as LC_ALL=C.UTF-8 has them), got {str(path)!a}"
        )


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can do that."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
