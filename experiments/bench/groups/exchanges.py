"""What devices exchange in a training step, counted in the program compiled for them."""

import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping

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

_COMPUTATION = re.compile(r"^(?:ENTRY )?%(?P<name>[\w.-]+) \(.*?\{\n(?P<body>.*?)^\}", re.M | re.S)
_ENTRY = re.compile(r"^ENTRY %([\w.-]+)", re.M)
_EXCHANGE = re.compile(r" = (?P<type>.+?) (?P<kind>all-reduce|all-gather)(?:-start)?\(")
_ARRAY = re.compile(r"\b(?:pred|[a-z]+(?P<bits>\d+))\[(?P<shape>[\d,]*)\]")
_CALLED = re.compile(r"\b(?:calls|to_apply|body|\w+_computations?)=\{?((?:%[\w.-]+(?:, )?)+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')


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


def count_exchanges(program: str) -> dict[str, int]:
    """How often devices exchange something in a run of an optimised program, and how many bytes of
    each device.

    Args:
        program: as text.

    Returns:
        "all_reduces" and "all_reduce_bytes", "all_gathers" and "all_gather_bytes" (of the result);
        the same with "_in_branches" for those that only one of two branches makes. What does not
        occur is left out.

    Examples:
        >>> count_exchanges('''
        ... ENTRY %main (x: f32[4]) -> f32[4] {
        ...   %x = f32[4]{0} parameter(0)
        ...   ROOT %sum = f32[4]{0} all-reduce(%x), to_apply=%add
        ... }
        ... ''')
        {'all_reduces': 1, 'all_reduce_bytes': 16}
    """
    computations = {found["name"]: found["body"] for found in _COMPUTATION.finditer(program)}
    (entry,) = _ENTRY.findall(program)
    counts: Counter[str] = Counter()
    for name, number in _walk(computations, entry, 1, ""):
        counts[name] += number
    return dict(counts)


def _walk(
    computations: Mapping[str, str], name: str, times: int, where: str
) -> Iterator[tuple[str, int]]:
    for line in computations.get(name, "").splitlines():
        if exchange := _EXCHANGE.search(line):
            kind = exchange["kind"].replace("-", "_")
            yield f"{kind}s{where}", times
            yield f"{kind}_bytes{where}", times * _bytes(exchange["type"])
            continue
        trips = _TRIPS.search(line)
        inner = "_in_branches" if " conditional(" in line else where
        for called in _CALLED.findall(line):
            for computation in re.findall(r"[\w.-]+", called.replace("%", "")):
                again = times * int(trips[1]) if trips else times
                yield from _walk(computations, computation, again, inner)


def _bytes(result: str) -> int:
    """Of all arrays of a type, such as "(f32[2,3]{1,0}, s32[])"."""
    return sum(
        math.prod(int(length) for length in array["shape"].split(",") if length)
        * (int(array["bits"]) // 8 if array["bits"] else 1)
        for array in _ARRAY.finditer(result)
    )
