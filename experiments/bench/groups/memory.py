"""Peak memory of an epoch of training, each contestant in a process of its own."""

import json
import time

from experiments.bench.bench import Bench
from experiments.bench.groups.startup import python
from experiments.bench.groups.training import lineup, mlp_config
from experiments.bench.peers import registry as peers
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column

LAYOUT = Experiment(
    "bench_memory",
    "Peak memory of an epoch",
    "",
    (
        Column("peak_mib", "memory", 0, "lower", "MiB"),
        Column("peak_device_mib", "device memory", 0, "lower", "MiB"),
    ),
)
IDLE = "images alone"


def run(bench: Bench) -> None:
    """Adds a row for each model and each peer."""
    config = mlp_config(bench)
    count = min(bench.sizes.images, len(bench.dataset.train_images))
    for title in (IDLE, *lineup(config), *peers.installed(bench)):
        started = time.perf_counter()
        arguments = [
            "-m",
            "experiments.bench.processes.peak_memory",
            title,
            config.to_json(),
            str(count),
        ]
        peaks = json.loads(python(arguments).splitlines()[-1])
        settings = config.to_dict() | {"images": count}
        bench.add(LAYOUT.name, "", title, settings, peaks, time.perf_counter() - started)
