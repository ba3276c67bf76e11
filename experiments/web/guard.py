"""What a request must be before an application sees it; needs Starlette."""

import asyncio
import contextlib
import dataclasses
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEGABYTE = 1_000_000
_LINGER = 1.0  # seconds
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s:\[\]]+?)\.?)(?::\d+)?")
_CLOSE = {"Connection": "close"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of a request.

    Attributes:
        hosts: the names by which the server may be called, in lower case, addresses of IPv6 without
            brackets. A page elsewhere whose own name was pointed to this machine is refused by it.
        megabytes: how large a body may be.
        seconds: how long a header, a body, or a pause in taking the answer may last.
    """

    hosts: frozenset[str]
    megabytes: int = 16
    seconds: float = 20.0


class Guard:
    """An ASGI application around another one, which sees only what is within the limits.

    A request by another host name or from a page of another origin is refused with status 403, one
    that has a body where none belongs with 400, a body that is too slow with 408, one that is too
    large with 413.

    Args:
        app: a Starlette or FastAPI application; it answers a body's refusals as any HTTPException.
        limits: of a request.
    """

    def __init__(self, app: "ASGIApp", limits: Limits):
        self.app, self.limits = app, limits

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refusal := self._refuse(scope["method"], headers):
            await _discard(receive)
            await refusal(scope, receive, send)
            return
        is_answered = False

        async def answer(message: "Message") -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            with contextlib.suppress(ClientDisconnect):  # nobody waits for the answer
                await self.app(scope, self._limit(receive, headers), answer)
        except asyncio.CancelledError:  # the server stops and has waited long enough
            if not is_answered:
                stopping = JSONResponse({"error": "the server is stopping"}, 503, _CLOSE)
                await stopping(scope, receive, send)

    def _refuse(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if _name(host) not in self.limits.hosts:
            said, status = f"host must be one of {sorted(self.limits.hosts)}, got {host!r}", 403
        elif _is_from_elsewhere(method, headers):
            said, status = "requests from pages of other origins are refused", 403
        elif method in ("GET", "HEAD") and (
            headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        ):
            said, status = f"{method} takes no body", 400
        else:
            return None
        return JSONResponse({"error": said}, status, _CLOSE)

    def _limit(self, receive: "Receive", headers: Headers) -> "Receive":
        """`receive`, which raises when the body is too slow or too large."""
        most, seconds = self.limits.megabytes, self.limits.seconds
        deadline = asyncio.get_running_loop().time() + seconds
        declared, received, is_complete = int(headers.get("content-length", "0")), 0, False

        async def refuse_if_too_large() -> None:
            if max(received, declared) > most * MEGABYTE:
                if not is_complete:
                    await _discard(receive)
                raise HTTPException(413, f"the body must have at most {most} MB", _CLOSE)

        async def limited() -> "Message":
            nonlocal received, is_complete
            if is_complete:
                return await receive()
            await refuse_if_too_large()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                said = f"the body must arrive within {seconds:g} seconds"
                raise HTTPException(408, said, _CLOSE) from None
            received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            await refuse_if_too_large()
            return message

        return limited


async def _discard(receive: "Receive") -> None:
    """Drops the rest of a body for `_LINGER` seconds at most: a connection that is closed while its
    client still sends is reset, and the client may never see the answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            while (await receive()).get("more_body", False):
                pass


def _name(host: str) -> str:
    """The name or address in a Host header, "" if it is none."""
    match = _HOST.fullmatch(host.lower())
    return "" if match is None else match["address"] or match["name"]


def _is_from_elsewhere(method: str, headers: Headers) -> bool:
    """Whether a browser sends this for a page of another origin; a link there may be followed."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers["host"].lower():
        return True
    if method == "GET" and headers.get("sec-fetch-mode") == "navigate":
        return False
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
