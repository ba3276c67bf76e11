"""The processes of a run find each other before jax joins them.

Where a process is missing, or two have the same number, jax aborts after minutes. Here each of them
gets one line instead. Process 0 listens at the coordinator's port until all others have connected;
then it frees the port for jax. Each connection carries one line of JSON in each direction.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterable
from typing import Any, NoReturn

_HELLO = 5.0  # seconds within which a connection must say who it is
_AGAIN = 0.2  # seconds between attempts to connect
_LEAST = 0.01  # seconds; a time limit of 0 means something else to a socket


def meet(coordinator: str, processes: int, process: int, seconds: float = 40) -> None:
    """Returns when all processes of the run have called it.

    Args:
        coordinator: HOST:PORT of process 0.
        processes: how many there are.
        process: the number of this one, from 0.
        seconds: how long to wait for the others.

    Raises:
        ValueError: not all came in time, the port is in use, two processes have the same number, or
            their counts differ.
    """
    host, _, port = coordinator.rpartition(":")
    deadline = time.monotonic() + seconds
    if process == 0:
        bound = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", coordinator)
        _welcome(int(bound.rpartition(":")[2]), processes, deadline)
    else:
        _join(host.strip("[]"), int(port), processes, process, deadline)


def _welcome(port: int, processes: int, deadline: float) -> None:
    """Process 0: waits for all others and then lets them go on."""
    with contextlib.ExitStack() as opened:
        try:
            server = opened.enter_context(_listen(port))
        except OSError as error:
            raise ValueError(
                f"coordinator: port {port} cannot be used ({os.strerror(error.errno or 0)}); is "
                "there another process 0?"
            ) from None
        others: dict[int, socket.socket] = {}
        try:
            while len(others) < processes - 1:
                server.settimeout(max(deadline - time.monotonic(), _LEAST))
                connection = opened.enter_context(server.accept()[0])
                _admit(connection, processes, others)
        except TimeoutError:
            missing = sorted({*range(1, processes)} - others.keys())
            _end(
                others.values(),
                f"processes must all be started with the same coordinator: of {processes}, "
                f"{_numbers(missing)} did not come",
            )
        for connection in others.values():
            _send(connection, {})


def _admit(connection: socket.socket, processes: int, others: dict[int, socket.socket]) -> None:
    """Adds a process to the others, if it is one and belongs to them."""
    hello = _receive(connection, _HELLO)
    if not isinstance(hello, dict) or type(process := hello.get("process")) is not int:
        return  # a probe of the port
    if hello.get("processes") != processes:
        _end(
            [*others.values(), connection],
            f"processes must be the same in all processes: it is {processes} in process 0 and "
            f"{hello.get('processes')} in process {process}",
        )
    if process in others:
        _end(
            [*others.values(), connection],
            f"process must be another number in each process, got {process} twice",
        )
    others[process] = connection


def _end(connections: Iterable[socket.socket], error: str) -> NoReturn:
    """Raises the error here and in the connected processes."""
    for connection in connections:
        _send(connection, {"error": error})
    raise ValueError(error)


def _join(host: str, port: int, processes: int, process: int, deadline: float) -> None:
    """Any other process: waits for process 0 to answer."""
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, port), timeout=left) as connection:
                _send(connection, {"process": process, "processes": processes})
                answer = _receive(connection, left + _HELLO)  # process 0 names who is missing
        except OSError:
            answer = None
        if isinstance(answer, dict):
            if "error" in answer:
                raise ValueError(str(answer["error"]))
            return
        time.sleep(_AGAIN)
    raise ValueError(
        f"coordinator must be where process 0 listens: {host}:{port} did not answer process "
        f"{process}, or not all of the {processes} processes came"
    )


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket, seconds: float) -> Any:
    """The message of the other side; None if it sends none in time, or something else."""
    connection.settimeout(seconds)
    try:
        with connection.makefile("rb") as stream:
            return json.loads(stream.readline(1000))
    except (OSError, ValueError, RecursionError):
        return None


def _numbers(missing: list[int]) -> str:
    shown = ", ".join(map(str, missing[:4])) + (", ..." if len(missing) > 4 else "")
    return f"process{'es' if len(missing) > 1 else ''} {shown}"
