"""A web application served from a socket that listens already, within limits that a stranger cannot
exceed; needs uvicorn."""

import asyncio
import os
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from experiments.web.guard import Guard, Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CONNECTIONS = 32  # at once; more are answered with 503
SECONDS_TO_STOP = 5


def run(app: "ASGIApp", listening: socket.socket, limits: Limits) -> None:
    """Serves the application until SIGINT or SIGTERM, then finishes what it is answering, for
    `SECONDS_TO_STOP` at most.

    SIGINT ends the process with exit code 0, SIGTERM as that signal does.

    Args:
        app: the application; it sees only the requests that `Guard` lets through.
        listening: from `listen`.
        limits: of a request.
    """
    config = uvicorn.Config(
        Guard(app, limits),
        http=_protocol(limits.seconds),
        ws="none",
        log_level="warning",
        access_log=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=SECONDS_TO_STOP,
    )
    try:
        _Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(0)  # a thread that still computes for nobody would be waited for


class _Server(uvicorn.Server):
    """Leaves signals alone that the parent process ignores, as `nohup` and `sh -c '... &'` do."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        signals = (signal.SIGINT, signal.SIGTERM)
        self._ignored = [number for number in signals if signal.getsignal(number) == signal.SIG_IGN]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig not in self._ignored:
            super().handle_exit(sig, frame)


def _protocol(seconds: float) -> type[asyncio.Protocol]:
    """HTTP/1.1 that closes a connection on which for so long no request begins or ends its header,
    or nothing of an answer is taken."""

    class Protocol(H11Protocol):
        _stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._expect_request()

        def on_response_complete(self) -> None:
            answered = self.cycle
            super().on_response_complete()
            if self.cycle is answered:
                self._expect_request()

        def _expect_request(self) -> None:
            before = self.cycle

            def close() -> None:
                if self.cycle is before:
                    self.transport.close()

            self.loop.call_later(seconds, close)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._stalled is not None:
                self._stalled.cancel()

    return Protocol
