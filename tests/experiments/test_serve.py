"""The served model answers as the model does, and says what is wrong with a request."""

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
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
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def exported(blobs, tmp_path_factory) -> Path:
    model = untrained(blobs)
    model.fit_prior(to_unit_float(blobs.train_images), "patterns")
    return export_model(model, tmp_path_factory.mktemp("m") / "model")


@pytest.fixture(scope="module")
def model(exported):
    return load_exported(exported)


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
    images = client.post("/generate", json={"n": 2, "seed": 3}).json()["images"]
    np.testing.assert_allclose(images, model.generate(jax.random.key(3), 2), rtol=1e-6)


@pytest.mark.long
def test_a_label_may_be_asked_for(blobs, x, tmp_path):
    from starlette.testclient import TestClient

    trained, labels = untrained(blobs, selection="sample", classes=4), blobs.train_labels
    trained.fit_prior(to_unit_float(blobs.train_images), "patterns", label=labels)
    model = load_exported(export_model(trained, tmp_path / "model"), verify=False)
    client = TestClient(serve.make_app(model))
    for label in (2, [0, 1, 2, 3, 0]):
        body = {"images": x.tolist(), "label": label}
        codes = client.post("/encode", json=body).json()["codes"]
        np.testing.assert_allclose(codes, model.encode(x, label=label), rtol=1e-6)
        images = client.post("/reconstruct", json=body).json()["images"]
        np.testing.assert_allclose(images, model.reconstruct(x, label=label), rtol=1e-6)
        images = client.post("/generate", json={"n": 5, "seed": 3, "label": label}).json()["images"]
        expected = model.generate(jax.random.key(3), 5, label=label)
        np.testing.assert_allclose(images, expected, rtol=1e-6)
    for label, message in (
        (4, "label must lie between 0 and 3, as classes is 4, got 4 to 4"),
        ([0, 1], "label must be whole numbers of shape (5,)"),
        ([[0], [1, 2]], "label must be a number, or numbers of one shape"),
        ("a", "label must be whole numbers"),
        ({"a": 1}, "label must be whole numbers"),
    ):
        for path, body in (
            ("/encode", {"images": x.tolist()}),
            ("/reconstruct", {"images": x.tolist()}),
            ("/generate", {"n": 5, "seed": 0}),
        ):
            answer = client.post(path, json=body | {"label": label})
            assert answer.status_code == 422
            assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"n": 1, "seed": 0, "label": 3}, "label must be None for a model without classes, got 3"),
        ({"n": 2}, "the body must be .*: got ..n..$"),
        ({"n": 0, "seed": 0}, r"n must be an integer in \[1, 2147483647\], got 0"),
        ({"n": 1, "seed": "a"}, "seed must be an integer in"),
        ({"n": 10**6, "seed": 0}, "n must be at most 1,736, got 1,000,000"),
    ],
)
def test_a_bad_request_for_generated_images_is_422_and_one_line(client, body, message):
    answer = client.post("/generate", json=body)
    assert answer.status_code == 422
    assert re.search(message, answer.json()["error"])


def test_the_model_is_described(client, blobs):
    about = client.get("/model").json()
    assert about["image_shape"] == [12, 12, 1]
    assert about["data"] == blobs.describe()
    assert about["config"]["k"] == 2
    assert about["refine"] == 0


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
        (b"[]", 'and no more than "label", got list'),
        (b"{}", 'and no more than "label", got []'),
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


def test_more_images_than_an_answer_may_hold_are_refused(model):
    from starlette.testclient import TestClient

    small = TestClient(serve.make_app(model, largest=0))
    response = small.post("/encode", content=images_of(0.5))
    assert (response.status_code, response.json()["error"]) == (
        422,
        "images must be at most 0, got 1",
    )


def test_an_answer_that_is_not_finite_is_refused(blobs, tmp_path):
    """A model of activations takes any finite number, and may overflow."""
    from starlette.testclient import TestClient

    model = untrained(blobs, model="batch_topk_sae")
    app = serve.make_app(load_exported(export_model(model, tmp_path / "model")))
    response = TestClient(app).post("/reconstruct", content=images_of(3e38))
    assert response.status_code == 422
    assert response.json()["error"].startswith("the answer is not finite")
    response = TestClient(app).post("/encode", content=images_of(1e300))
    assert "images must lie in [-3.40282e+38, 3.40282e+38], got inf to inf" in response.text


def test_other_paths_and_methods_are_refused(client):
    for method, path, status in (("GET", "/encode", 405), ("POST", "/train", 404)):
        response = client.request(method, path)
        assert (response.status_code, list(response.json())) == (status, ["error"])


@contextlib.contextmanager
def served(exported) -> Iterator[str]:
    """The address of the command, started as a user would."""
    command = [sys.executable, "-m", "experiments.serve", "--exported", exported, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        try:
            yield re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        finally:
            process.terminate()


def test_many_clients_at_once_are_all_answered(exported, capsys):
    with served(exported) as url:
        load = serve_load.apply_load(url, "reconstruct", clients=4, requests=5, images=3)
        assert (len(load.latencies), load.images, load.failures) == (20, 60, 0)
        cli.run(serve_load.main, ["--url", url, "--clients", "1", "--requests", "2"])
    assert "images per second" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("main", "flags", "message"),
    [
        (serve.main, ["--exported", "none"], "no folder none"),
        (serve.main, ["--exported", "none", "--port", "70000"], "port must lie in [0, 65535]"),
        (serve.main, ["--exported", "none", "--largest", "0"], "largest must be at least 1, got 0"),
        (serve.main, ["--exported", "{model}", "--port", "{taken}"], "127.0.0.1:{taken}: Address"),
        (
            serve.main,
            ["--exported", "{model}", "--host", "203.0.113.1"],
            "on 203.0.113.1:8000: Can",
        ),
        (serve_load.main, ["--clients", "0"], "clients must be at least 1, got 0"),
        (serve_load.main, ["--url", "http://127.0.0.1:9"], "Connection refused"),
    ],
)
def test_bad_flags_exit_with_2_and_a_reason(main, flags, message, exported, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"model": exported, "taken": taken.getsockname()[1]}
        with pytest.raises(SystemExit) as stopped:
            cli.run(main, [flag.format(**names) for flag in flags])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert message.format(**names) in said
    assert said.count("\n") == 1
