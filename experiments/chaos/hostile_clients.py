"""Clients of a served model that ask for what they must not have, or leave before they have it."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.chaos.small_run import (
    SHAPE,
    WrongOutcomeError,
    require,
    small_model,
    temporary_folder,
)
from vae_topk_jax.export import export_model

_SECONDS = 60  # within which a request is answered
_SECONDS_TO_STOP = 10
_MEBIBYTES = 1024  # that the server may take
_OURS = "Host: localhost\r\nConnection: close\r\n"
Rng = np.random.Generator


class _Request(NamedTuple):
    """What is sent, and with which status it is answered; None: nobody waits for that."""

    kind: str
    content: bytes
    status: int | None


def clients(trials: int) -> str:
    """Requests to a served model with odd, large and unfinished bodies, from other hosts and
    origins, by clients that leave: answered, or refused in one line; it stops within 10 s."""
    rng = np.random.default_rng(0)
    outcomes: Counter[str] = Counter()
    with temporary_folder() as folder:
        exported = export_model(small_model(), folder / "model")
        with _served(exported) as (server, port):
            for _ in range(trials):
                request = _make_request(rng)
                with socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
                    status = _answer(connection, request)
                require(status == request.status, f"{request.kind}: {status} for {request}")
                outcomes[f"{status or 'left'}"] += 1
            mebibytes = _peak_mebibytes(server.pid)
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(_post(b"", length=9))  # does not keep it from stopping
                server.send_signal(signal.SIGTERM)
                _, printed = server.communicate(timeout=_SECONDS_TO_STOP)
    require("Traceback" not in printed, printed)
    require(mebibytes < _MEBIBYTES, f"{mebibytes:.0f} MiB were taken")
    counted = ", ".join(f"{count} x {status}" for status, count in sorted(outcomes.items()))
    return f"{counted}; at most {mebibytes:.0f} MiB"


@contextlib.contextmanager
def _served(exported: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """A server of its own, for bodies of 1 MB at most, and its port."""
    command = [sys.executable, "-m", "experiments.serve", "--exported", str(exported)]
    with subprocess.Popen(
        [*command, "--port", "0", "--largest", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r":(\d+) ", server.stdout.readline())
            require(found is not None, "the server did not start")
            assert found is not None
            yield server, int(found[1])
        finally:
            server.kill()


def _make_request(rng: Rng) -> _Request:
    """One of some kinds, at random."""
    images = rng.uniform(size=(int(rng.integers(1, 4)), *SHAPE)).round(3)
    body = json.dumps({"images": images.tolist()}).encode()
    number = str(rng.choice(["-1", "2", "NaN", "3e38", "1e999", "9" * 400, '"a"', "null", "[]"]))
    odd = body.replace(b"0.", number.encode() + b", 0.", 1)
    cut = int(rng.integers(len(body)))
    requests = [
        _Request("right", _post(body), 200),
        _Request("a number", _post(odd), 422),
        _Request("cut", _post(body[:cut]), 422),
        _Request("noise", _post(rng.bytes(cut)), 422),
        _Request("nested", _post(b"[" * 10 * cut), 422),
        _Request("too large", _post(b" " * 1_000_001), 413),
        _Request("too large, it says", _post(b"", length=1_000_001), 413),
        _Request("another host", _post(body, "Host: evil.example\r\nConnection: close\r\n"), 403),
        _Request("another origin", _post(body, f"{_OURS}Origin: http://evil.example\r\n"), 403),
        _Request("another path", _post(body, path="/train"), 404),
        _Request("a body with GET", _post(body, method="GET", path="/model"), 400),
        _Request("no HTTP", b"\0" + rng.bytes(cut) + b"\r\n\r\n", 400),
        _Request("unfinished", _post(body[:cut], length=len(body)), None),
        _Request("not awaited", _post(body), None),
    ]
    return requests[rng.integers(len(requests))]


def _post(
    body: bytes,
    headers: str = _OURS,
    *,
    method: str = "POST",
    path: str = "/encode",
    length: int | None = None,
) -> bytes:
    size = len(body) if length is None else length
    return f"{method} {path} HTTP/1.1\r\n{headers}Content-Length: {size}\r\n\r\n".encode() + body


def _answer(connection: socket.socket, request: _Request) -> int | None:
    """The status of the answer, once it is complete; a refusal must be one line."""
    with contextlib.suppress(ConnectionError):  # a refusal may come before all is sent
        connection.sendall(request.content)
    if request.status is None:
        return None
    try:
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    except ConnectionError:
        raise WrongOutcomeError(f"{request.kind}: the connection was reset") from None
    header, _, body = answer.partition(b"\r\n\r\n")
    status = int(header.split()[1])
    if status != 200:
        require(b"\n" not in body, f"{request.kind}: several lines: {body!r}")
    return status


def _peak_mebibytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
