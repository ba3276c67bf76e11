"""How much a served model bears: requests from several clients at once, each over one connection.

python -m experiments.serve --exported runs/model/exported &
python -m experiments.bench.http_load --url http://127.0.0.1:8000 --clients 8 --images 16
"""

import contextlib
import http.client
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, get_args
from urllib.parse import urlsplit

import numpy as np
from rich.table import Table

from experiments.terminal import cli
from vae_topk_jax.runs.progress import console

ServedPath = Literal["encode", "reconstruct"]
PATHS: tuple[ServedPath, ...] = get_args(ServedPath)


class Load(NamedTuple):
    """What a load came to.

    Attributes:
        seconds: how long all of it took.
        latencies: seconds of each request that was answered.
        images: how many images were in these together.
        failures: how many requests were answered with another status than 200.
    """

    seconds: float
    latencies: list[float]
    images: int
    failures: int

    def rows(self) -> dict[str, str]:
        """The figures as printed."""
        p50, p95, p99 = 1e3 * np.percentile(self.latencies or [np.nan], [50, 95, 99])
        return {
            "requests": f"{len(self.latencies)}, failed {self.failures}",
            "requests per second": f"{len(self.latencies) / self.seconds:.1f}",
            "images per second": f"{self.images / self.seconds:.0f}",
            "latency, median": f"{p50:.1f} ms",
            "latency, 95 %": f"{p95:.1f} ms",
            "latency, 99 %": f"{p99:.1f} ms",
        }


def apply_load(url: str, path: ServedPath, clients: int, requests: int, images: int) -> Load:
    """Sends requests of random images, and waits for each answer before the client's next one.

    Args:
        url: where the model is served.
        path: which of its functions.
        clients: how many clients at once.
        requests: how many requests each sends.
        images: how many images each request has.

    Raises:
        OSError: nobody answers there.
    """
    host = urlsplit(url).netloc
    with _connect(host) as connection:
        connection.request("GET", "/model")
        shape = json.load(connection.getresponse())["image_shape"]
    x = np.random.default_rng(0).uniform(size=(images, *shape)).round(3)
    body = json.dumps({"images": x.tolist()})

    def client(_: int) -> list[tuple[int, float]]:
        answers = []
        with _connect(host) as connection:
            for _ in range(requests):
                started = time.perf_counter()
                connection.request("POST", f"/{path}", body)
                response = connection.getresponse()
                response.read()
                answers.append((response.status, time.perf_counter() - started))
        return answers

    client(0)  # compiles
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(itertools.chain.from_iterable(pool.map(client, range(clients))))
    latencies = [latency for status, latency in answers if status == 200]
    failures = len(answers) - len(latencies)
    return Load(time.perf_counter() - started, latencies, images * len(latencies), failures)


def _connect(host: str) -> contextlib.closing[http.client.HTTPConnection]:
    return contextlib.closing(http.client.HTTPConnection(host, timeout=60))


def main(
    url: str = "http://127.0.0.1:8000",
    path: ServedPath = "encode",
    clients: int = 8,
    requests: int = 50,
    images: int = 16,
) -> None:
    """Measures a served model under load.

    Args:
        url: where it is served.
        path: which of its functions.
        clients: how many clients at once.
        requests: how many requests each sends, one after the other.
        images: how many images each request has.
    """
    for name, count in {"clients": clients, "requests": requests, "images": images}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    load = apply_load(url, path, clients, requests, images)
    table = Table(title=f"{path}: {clients} clients, {images} images per request")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in load.rows().items():
        table.add_row(name, value)
    console.print(table)


if __name__ == "__main__":
    cli.run(main)
