"""A server that strangers keep waiting, and that is asked to stop."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

server = pytest.importorskip("experiments.web.server", exc_type=ImportError)

# answers "ready", 40 MB and, after a minute, "slept"
SERVER = """
import sys, time
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from experiments.web import server
from experiments.web.guard import Limits
from experiments.web.listening import LOOPBACK, address, listen

async def ready(request):
    await request.body()
    return PlainTextResponse("ready")

def large(request):
    return PlainTextResponse("x" * 40_000_000)

def slow(request):
    time.sleep(60)

server.SECONDS_TO_STOP = 1
routes = [Route("/", ready, methods=["GET", "POST"]), Route("/large", large), Route("/slow", slow)]
with listen("127.0.0.1", 0) as listening:
    print(listening.getsockname()[1], flush=True)
    server.run(Starlette(routes=routes), listening, Limits(frozenset(LOOPBACK), seconds=0.5))
"""
HEADER = b"Host: localhost\r\n"


@contextlib.contextmanager
def running(ignored: int | None = None) -> Iterator[tuple[subprocess.Popen, int]]:
    """A server of its own and its port; its parent ignores a signal."""
    command = [sys.executable, "-c", SERVER]
    if ignored is not None:
        command = ["sh", "-c", f"trap '' {ignored:d}; exec \"$@\"", "sh", *command]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as (_, port):
        yield port


def connect(port: int, *lines: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(b"".join(lines))
    return connection


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    return b"".join(iter(lambda: connection.recv(1 << 20), b""))


GET = (b"GET / HTTP/1.1\r\n", HEADER, b"\r\n")
LARGE = (b"GET /large HTTP/1.1\r\n", HEADER, b"\r\n")


UNFINISHED = (b"POST / HTTP/1.1\r\n", HEADER, b"Content-Length: 9\r\n\r\n", b"x")


def test_a_connection_that_says_too_little_is_closed(port):
    requests = {
        (): b"",
        (b"GET / HTTP/1.1\r\n",): b"",
        (*GET, b"GET / HT"): b"200 OK",
        UNFINISHED: b"408 ",
        (b"POST / HTTP/1.1\r\n", HEADER, b"Transfer-Encoding: chunked\r\n\r\n"): b"408 ",
        (b"GET / HTTP/1.1\r\n", b"Host: evil.example\r\n\r\n"): b"403 ",
    }
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(port, *lines)) for lines in requests]
        for connection, answer in zip(connections, requests.values(), strict=True):
            assert everything(connection).startswith(answer and b"HTTP/1.1 " + answer)
    assert time.monotonic() - started < 5


def test_one_that_takes_nothing_of_its_answer_is_closed(port):
    with connect(port, *LARGE) as connection:
        time.sleep(1.5)
        with contextlib.suppress(ConnectionResetError):
            assert len(everything(connection)) < 40_000_000


def test_connections_beyond_the_limit_are_turned_away_until_the_idle_ones_are_closed(port):
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(port)) for _ in range(server.CONNECTIONS)]
        with connect(port, *GET) as connection:
            assert everything(connection).startswith(b"HTTP/1.1 503 ")
        assert not any(map(everything, idle))
        with connect(port, *GET) as connection:
            assert everything(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_clients_do_not_keep_it_from_stopping(number, code):
    with running() as (process, port), contextlib.ExitStack() as stack:
        for request in (UNFINISHED, LARGE, (b"GET /slow HTTP/1.1\r\n", HEADER, b"\r\n")):
            stack.enter_context(connect(port, *request))
        time.sleep(0.3)
        process.send_signal(number)
        _, said = process.communicate(timeout=server.SECONDS_TO_STOP + 5)
    assert process.returncode == code
    assert "Traceback" not in said


def test_a_signal_that_the_parent_ignores_is_ignored():
    with running(ignored=signal.SIGINT) as (process, port):
        process.send_signal(signal.SIGINT)
        with connect(port, *GET) as connection:
            assert everything(connection).startswith(b"HTTP/1.1 200 ")
        assert process.poll() is None
