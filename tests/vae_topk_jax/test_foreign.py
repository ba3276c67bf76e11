"""A folder of a stranger's is looked through before anything in it is read."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vae_topk_jax import manifest
from vae_topk_jax.foreign import open_regular, regular_files


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def punch(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def nest(path: Path) -> None:
    (path / "/".join("a" * 40)).mkdir(parents=True)


KINDS: dict[str, Callable[[Path], object]] = {
    "got a link": lambda path: path.symlink_to("/dev/zero"),
    "folder got a link": lambda path: path.symlink_to("/"),
    "dangling: got a link": lambda path: path.symlink_to("nowhere"),
    "got a folder, pipe, socket or device": os.mkfifo,
    "socket: got a folder, pipe, socket": bind,
    "1,099,511,627,776 bytes, of which the disk holds 0": punch,
    "folders nested deeper than 32": nest,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (".git/config", "README.md", "model"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    manifest.write_manifest(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["odd", ".git/odd", "README.md"])
def test_nothing_but_regular_files_is_let_in(folder, place, kind, monkeypatch):
    (folder / place).unlink(missing_ok=True)
    KINDS[kind](folder / place)
    monkeypatch.setattr(manifest, "_checksum", lambda path: pytest.fail("hashed"))
    with pytest.raises(ValueError, match=kind.rpartition(": ")[2].removeprefix("folder ")) as error:
        manifest.verify(folder, besides=(".git", "README.md"))
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\nb", b"\x1b[31mred", b"a\x7f"])
def test_a_name_that_cannot_be_printed_is_refused(folder, name):
    (folder / os.fsdecode(name)).write_text("odd")
    with pytest.raises(ValueError, match="holds a name that cannot be printed") as error:
        regular_files(folder)
    assert str(error.value).isprintable()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe must be a regular file"):
        open_regular(tmp_path / "pipe")
