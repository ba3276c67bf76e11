"""The bottleneck alone."""

import functools
from collections.abc import Mapping
from typing import Any, get_args

import jax
import jax.numpy as jnp

from experiments.bench.bench import MS, Bench
from experiments.bench.clock import Seconds
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.bottleneck import BatchTopK
from vae_topk_jax.rule import SelectionRule

LAYOUT = Experiment(
    "bench_bottleneck",
    "Speed: the bottleneck alone",
    "The layer in training on an array (B, D), forward pass and statistics.",
    (MS, Column("over_multiply", "over multiply", 2, "lower")),
)
MULTIPLY = "multiply by a number"


def run(bench: Bench) -> None:
    """Adds a row for each rule at every size that fits."""
    for size, latents in bench.sizes.bottlenecks:
        _run_size(bench, size, latents)


def _run_size(bench: Bench, size: int, latents: int) -> None:
    k = k_of(latents)
    shape = jax.ShapeDtypeStruct((size, latents), jnp.float32)
    programs: dict[str, Any] = {MULTIPLY: jax.jit(lambda z_BxD: 2.0 * z_BxD)}
    programs |= {f"by {rule}": _layer(rule, k, latents) for rule in get_args(SelectionRule)}
    variant = f"({size}, {latents})"
    compiled = {title: program.lower(shape).compile() for title, program in programs.items()}
    fitting = {
        title: program
        for title, program in compiled.items()
        if bench.fits(program, f"bottleneck {title} at {variant}")
    }
    if MULTIPLY not in fitting:
        return
    z_BxD = jax.random.normal(jax.random.key(0), (size, latents))
    contestants = {title: functools.partial(call, z_BxD) for title, call in fitting.items()}

    def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
        own, multiply = seconds[model].median, seconds[MULTIPLY].median
        return {"ms": 1e3 * own, "over_multiply": own / multiply}

    bench.race(LAYOUT.name, variant, contestants, {"k": k}, describe)


def _layer(rule: SelectionRule, k: int, latents: int) -> Any:
    """z_BxD -> the masked latent and the updated statistics, in training."""
    layer = BatchTopK(k, importance="mean_abs_z", selection=rule)
    stats = layer.init(jax.random.key(0), jnp.zeros((1, latents)), use_running_average=False)
    train = functools.partial(layer.apply, use_running_average=False, mutable="batch_stats")
    return jax.jit(functools.partial(train, stats))


def k_of(latents: int) -> int:
    """How many latents pass."""
    return min(32, latents // 8)
