"""Requests to a server of its own that hostile clients send, and what must come of them."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.chaos.small_run import WrongOutcomeError, require

SECONDS = 60  # within which a request is answered
_SECONDS_TO_STOP = 10
_MEBIBYTES = 1024  # that the server may take
LOCAL = "Host: localhost\r\nConnection: close\r\n"
ELSEWHERE = "Host: evil.example\r\nConnection: close\r\n"
FROM_ELSEWHERE = f"{LOCAL}Origin: http://evil.example\r\n"
Rng = np.random.Generator


class Request(NamedTuple):
    """What is sent, and with which status it is answered; None: nobody waits for that."""

    kind: str
    content: bytes
    status: int | None


def try_requests(
    module: str, flags: list[str], make_request: Callable[[Rng], Request], trials: int
) -> str:
    """Starts the server `python -m module flags` and sends it so many requests.

    Each is answered with its status, a refusal in one line; the server takes less than 1 GiB,
    prints no traceback, and stops within 10 seconds, though a body is unfinished.

    Returns:
        How often each status was answered, and the memory that the server took at most.
    """
    rng = np.random.default_rng(0)
    outcomes: Counter[str] = Counter()
    with _served([sys.executable, "-m", module, *flags, "--port", "0"]) as (server, port):
        for _ in range(trials):
            request = make_request(rng)
            with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
                status = _answer(connection, request)
            require(status == request.status, f"{request.kind}: {status} for {request}")
            outcomes[f"{status or 'left'}"] += 1
        mebibytes = _peak_mebibytes(server.pid)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(post(b"", length=9))
            server.send_signal(signal.SIGTERM)
            _, printed = server.communicate(timeout=_SECONDS_TO_STOP)
    require("Traceback" not in printed, printed)
    require(mebibytes < _MEBIBYTES, f"{mebibytes:.0f} MiB were taken")
    counted = ", ".join(f"{count} x {status}" for status, count in sorted(outcomes.items()))
    return f"{counted}; at most {mebibytes:.0f} MiB"


def post(
    body: bytes,
    headers: str = LOCAL,
    *,
    method: str = "POST",
    path: str = "/encode",
    length: int | None = None,
) -> bytes:
    """A request of HTTP/1.1; `length` is what it says of its body, that of the body itself if it
    is None."""
    size = len(body) if length is None else length
    return f"{method} {path} HTTP/1.1\r\n{headers}Content-Length: {size}\r\n\r\n".encode() + body


@contextlib.contextmanager
def _served(command: list[str]) -> Iterator[tuple[subprocess.Popen, int]]:
    """The server and its port."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if found := re.search(r"http://[^:]+:(\d+) ", line):
                    break
            else:
                raise WrongOutcomeError(f"the server did not start: {server.communicate()[1]}")
            yield server, int(found[1])
        finally:
            server.kill()


def _answer(connection: socket.socket, request: Request) -> int | None:
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
