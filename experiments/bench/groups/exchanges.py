"""What devices exchange in a training step, counted in the program compiled for them."""

import json
import time

from experiments.bench.bench import Bench
from experiments.bench.groups.startup import python
from experiments.bench.groups.training import mlp_config
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, SAMPLE, trained_models
from vae_topk_jax.config import Config

LAYOUT = Experiment(
    "bench_exchanges",
    "What eight devices exchange in a step",
    "Counted in the compiled program. In a branch: only where scores tie for the last places, "
    "where latents are dead, or when the sensitivity is estimated.",
    (
        Column("all_reduces", "all-reduces", 0, "lower"),
        Column("all_reduce_bytes", "bytes reduced", 0, "lower"),
        Column("all_gathers", "all-gathers", 0, "lower"),
        Column("all_gather_bytes", "bytes gathered", 0, "lower"),
        Column("all_reduces_in_branches", "all-reduces in a branch", 0, "lower"),
        Column("all_gather_bytes_in_branches", "bytes gathered in a branch", 0, "lower"),
    ),
)
DEVICES = 8


def run(bench: Bench) -> None:
    """Adds a row for each model, over eight CPU devices that a process of its own has."""
    for title, config in lineup(mlp_config(bench)).items():
        started = time.perf_counter()
        arguments = ["-m", "experiments.bench.processes.count_exchanges", config.to_json()]
        flag = f"--xla_force_host_platform_device_count={DEVICES}"
        told = python(arguments, {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flag})
        counted = json.loads(told.splitlines()[-1])
        settings = config.to_dict() | {"devices": DEVICES}
        bench.add(LAYOUT.name, "", title, settings, counted, time.perf_counter() - started)


def lineup(config: Config) -> dict[str, Config]:
    """The models whose steps are counted, with as many images for each device as in `config`."""
    config = config.replace(batch_size=DEVICES * config.batch_size)
    models = trained_models(config.latent_dim, config.k)
    chosen = {name: models[name] for name in (BASELINE, DIMENSION, ELEMENT, SAMPLE)}
    chosen[f"{ELEMENT}, no sensitivity"] = models[ELEMENT] | {"sensitivity_every": 0}
    chosen["dictionary"] = {"model": "batch_topk_sae", "latent_dim": 64 * config.latent_dim}
    return {title: config.replace(**fields) for title, fields in chosen.items()}
