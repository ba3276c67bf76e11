"""Peak memory of an epoch of training, each contestant in a process of its own."""

import json
import time

from experiments.bench.bench import Bench
from experiments.bench.groups.startup import python
from experiments.bench.groups.training import lineup, mlp_config
from experiments.bench.peers import registry as peers

EXPERIMENT = "bench_memory"
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
        bench.add(EXPERIMENT, "", title, settings, peaks, time.perf_counter() - started)
