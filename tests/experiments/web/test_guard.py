"""Requests that an application must not see are refused before it sees them."""

import asyncio
from collections.abc import Iterator

import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from experiments.web.guard import Guard, Limits
from experiments.web.listening import names

LIMITS = Limits(names("127.0.0.1", ["Proxy.example"]), megabytes=1, seconds=0.2)


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


GUARDED = Guard(Starlette(routes=[Route("/", echo, methods=["GET", "POST"])]), LIMITS)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(GUARDED, base_url="http://localhost:8000")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:80", "LOCALHOST", "[::1]:8000", "proxy.example", "localhost."]
)
def test_names_of_this_server_are_answered(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "[::2]",
        "::1",
        "0.0.0.0",
        "localhost:80:80",
        "local host",
    ],
)
def test_other_names_are_refused(client, host):
    response = client.get("/", headers={"Host": host})
    assert response.status_code == 403
    assert response.json()["error"].endswith(f"got {host!r}")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"Origin": "http://localhost:8000"}, 200),
        ("POST", {"Origin": "https://LOCALHOST:8000"}, 200),
        ("POST", {"Origin": "http://localhost:3000"}, 403),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": ""}, 403),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, 403),
        ("GET", {"Sec-Fetch-Site": "none"}, 200),
        ("GET", {"Content-Length": "5"}, 400),
    ],
)
def test_pages_of_other_origins_are_refused(client, method, headers, status):
    assert client.request(method, "/", headers=headers).status_code == status


def test_a_large_body_is_refused_however_it_comes(client):
    def chunks(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield b" " * 100_000

    assert client.post("/", content=chunks(10)).text == "1000000"
    for content in (b" " * 1_000_001, chunks(11)):
        response = client.post("/", content=content)
        assert response.status_code == 413
        assert response.text == "the body must have at most 1 MB"


def test_a_body_that_does_not_end_is_refused():
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
    sent = []

    async def receive() -> dict:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(GUARDED(scope | {"headers": [(b"host", b"localhost")]}, receive, send))
    assert sent[0]["status"] == 408
    assert sent[1]["body"] == b"the body must arrive within 0.2 seconds"


def test_a_client_that_leaves_is_no_error():
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}

    async def receive() -> dict:
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        pass

    asyncio.run(GUARDED(scope | {"headers": [(b"host", b"localhost")]}, receive, send))
