"""The served model answers as the model does, and says what is wrong with a request."""

import contextlib
import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from experiments import serve
from experiments.bench import http_load as serve_load
from experiments.terminal import cli
from tests.helpers.runs import untrained
from vae_topk_jax import load_exported
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.export import export_model

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def model(blobs, tmp_path_factory):
    return load_exported(export_model(untrained(blobs), tmp_path_factory.mktemp("m") / "model"))


@pytest.fixture(scope="module")
def client(model):
    from starlette.testclient import TestClient

    return TestClient(serve.make_app(model, largest=1))


@pytest.fixture
def x(blobs) -> np.ndarray:
    return to_unit_float(blobs.test_images[:5])


def test_answers_are_the_models(client, model, x):
    body = {"images": x.tolist()}
    codes = client.post("/encode", json=body).json()["codes"]
    np.testing.assert_allclose(codes, model.encode(x), rtol=1e-6)
    images = client.post("/reconstruct", json=body).json()["images"]
    np.testing.assert_allclose(images, model.reconstruct(x), rtol=1e-6)


def test_the_model_is_described(client, blobs):
    about = client.get("/model").json()
    assert about["image_shape"] == [12, 12, 1]
    assert about["data"] == blobs.describe()
    assert about["config"]["k"] == 2


def nested(value, depth: int):
    return value if depth == 0 else [nested(value, depth - 1)]


def images_of(value: float | bool | str | None, shape=(1, 12, 12, 1)) -> bytes:
    return json.dumps({"images": np.full(shape, value, dtype=object).tolist()}).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body must be JSON"),
        (b"\xff\xfe", "the body must be JSON"),
        (b"[" * 100_000, "the body must be JSON"),
        (b"[]", "and no more, got list"),
        (b"{}", "and no more, got []"),
        (b'{"images": [], "k": 3}', "got ['images', 'k']"),
        (b'{"images": []}', "images must have shape (N, 12, 12, 1), got (0,)"),
        (b'{"images": [[1, 2], [3]]}', "images must all have one shape"),
        (b'{"images": null}', "images must be an array of numbers"),
        (b'{"images": "' + b"a" * 99 + b'"}', "images must be an array of numbers"),
        (images_of("0.5"), "images must be an array of numbers"),
        (images_of(True), "images must be an array of numbers"),
        (images_of(None), "images must be an array of numbers"),
        (images_of(10**30), "images must be an array of numbers"),
        (images_of(255), "images must lie in [0, 1], got 255 to 255"),
        (images_of(float("nan")), "images must lie in [0, 1], got nan to nan"),
        (images_of(0.5, (1, 28, 28, 1)), "got (1, 28, 28, 1)"),
        (json.dumps({"images": nested(0.5, 40)}).encode(), "images must"),
    ],
)
def test_a_bad_request_is_422_and_one_line(client, body, message):
    for path in ("/encode", "/reconstruct"):
        response = client.post(path, content=body)
        assert response.status_code == 422
        assert message in response.json()["error"]
        assert "\n" not in response.json()["error"]


def test_a_large_body_is_refused_however_it_comes(client):
    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100_000

    for content in (b" " * 1_000_001, chunks()):
        response = client.post("/encode", content=content)
        assert response.status_code == 413
        assert response.json() == {"error": "the body must have at most 1 MB"}


def test_other_paths_and_methods_are_refused(client):
    assert client.get("/encode").status_code == 405
    assert client.post("/train").status_code == 404


@contextlib.contextmanager
def served(model) -> Iterator[str]:
    app = serve.make_app(model)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    started = threading.Event()
    startup = server.startup

    async def tell(*given, **named):
        await startup(*given, **named)
        started.set()

    server.startup = tell
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(60)
        (socket,) = server.servers[0].sockets
        assert socket.getsockname()[0] == "127.0.0.1"
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_many_clients_at_once_are_all_answered(model, capsys):
    with served(model) as url:
        load = serve_load.apply_load(url, "reconstruct", clients=4, requests=5, images=3)
        assert (len(load.latencies), load.images, load.failures) == (20, 60, 0)
        cli.run(serve_load.main, ["--url", url, "--clients", "1", "--requests", "2"])
    assert "images a second" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("main", "flags", "message"),
    [
        (serve.main, ["--exported", "none"], "no folder none"),
        (serve.main, ["--exported", "none", "--port", "70000"], "port must lie in [0, 65535]"),
        (serve.main, ["--exported", "none", "--largest", "0"], "largest must be at least 1, got 0"),
        (serve_load.main, ["--clients", "0"], "clients must be at least 1, got 0"),
        (serve_load.main, ["--url", "http://127.0.0.1:9"], "Connection refused"),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(main, flags, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.run(main, flags)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
