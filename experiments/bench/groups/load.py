"""A served model under load: an exported one behind HTTP, and several clients at once."""

import contextlib
import importlib.util
import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.bench.bench import Bench
from experiments.bench.groups.serving import trained
from experiments.bench.http_load import PATHS, ServedPath, apply_load
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.export import export_model

LAYOUT = Experiment(
    "bench_load",
    "Speed: a served model under load",
    "An exported model behind HTTP on the loopback address; server and clients share the "
    "machine, images travel as JSON.",
    (
        Column("ms", "per request, median", 2, "lower", "ms"),
        Column("ms_99", "99 %", 2, "lower", "ms"),
        Column("requests_per_second", "requests per second", 0, "higher"),
        Column("images_per_second", "images per second", 0, "higher"),
    ),
)
_PATIENCE = 60.0  # seconds for a server to start


def run(bench: Bench) -> None:
    """Adds a row for each load on each function."""
    if not importlib.util.find_spec("uvicorn"):
        bench.note("a served model under load: needs the extra `serve`")
        return
    model = trained(bench)
    with tempfile.TemporaryDirectory(prefix="bench-served-") as folder:
        exported = Path(folder) / "exported"
        export_model(model, exported)
        with served(exported) as url:
            for load, path in itertools.product(bench.sizes.loads, PATHS):
                _run_load(bench, url, path, *load)


def _run_load(
    bench: Bench, url: str, path: ServedPath, clients: int, requests: int, images: int
) -> None:
    rounds = [apply_load(url, path, clients, requests, images) for _ in range(bench.sizes.rounds)]
    if any(load.failures for load in rounds):
        raise RuntimeError(f"requests to {path} failed: {clients} clients, {images} images")
    seconds = sum(load.seconds for load in rounds)
    latencies = np.concatenate([load.latencies for load in rounds])
    settings = {"clients": clients, "requests": requests, "images": images}
    metrics = {
        "ms": 1e3 * float(np.median(latencies)),
        "ms_99": 1e3 * float(np.percentile(latencies, 99)),
        "requests_per_second": len(latencies) / seconds,
        "images_per_second": images * len(latencies) / seconds,
    }
    title = f"clients: {clients}, images per request: {images}"
    bench.add(LAYOUT.name, path, title, settings, metrics, seconds)


@contextlib.contextmanager
def served(exported: Path) -> Iterator[str]:
    """The address at which a process of its own serves the model meanwhile.

    Raises:
        RuntimeError: it does not answer within a minute.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "experiments.serve", "--exported", str(exported), "--port", str(port)]
    null = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, *command], stdout=null, stderr=null) as server:
        try:
            _await(server, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _await(server: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not start")
