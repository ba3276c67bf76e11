"""Decoding k of many latents: a dense product with the sparse code against a gather of k rows."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from experiments.bench.bench import MS, Bench
from experiments.bench.clock import Seconds
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column

LAYOUT = Experiment(
    "bench_decoding",
    "Speed: decoding k of many latents",
    "",
    (MS, Column("over_dense", "over dense", 2, "lower")),
)
DENSE = "dense product"


def run(bench: Bench) -> None:
    """Adds a row for each way at each size."""
    for size, latents, inputs, k in bench.sizes.decoders:
        code_key, kernel_key = jax.random.split(jax.random.key(0))
        z_BxD = _sparse_code(code_key, size, latents, k)
        kernel_DxF = jax.random.normal(kernel_key, (latents, inputs))
        value_BxK, index_BxK = jax.lax.top_k(z_BxD, k)
        contestants = {
            DENSE: functools.partial(jax.jit(jnp.matmul), z_BxD, kernel_DxF),
            "gather, latents known": functools.partial(
                jax.jit(gather), value_BxK, index_BxK, kernel_DxF
            ),
            "gather, latents found first": functools.partial(
                jax.jit(find_and_gather, static_argnums=2), z_BxD, kernel_DxF, k
            ),
        }

        def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
            own = seconds[model].median
            return {"ms": 1e3 * own, "over_dense": own / seconds[DENSE].median}

        variant = f"batch {size}, {k} of {latents:,} latents to {inputs} values"
        bench.race(LAYOUT.name, variant, contestants, {"k": k}, describe)


def gather(value_BxK: Array, index_BxK: Array, kernel_DxF: Array) -> Array:
    """The rows of k latents an input, weighted and added up: y_BxF."""
    return jnp.einsum("bk,bkf->bf", value_BxK, kernel_DxF[index_BxK])


def find_and_gather(z_BxD: Array, kernel_DxF: Array, k: int) -> Array:
    """The same, from the code itself."""
    return gather(*jax.lax.top_k(z_BxD, k), kernel_DxF)


def _sparse_code(key: Array, size: int, latents: int, k: int) -> Array:
    """z_BxD with k positive entries an input."""
    value_BxD = jax.random.uniform(key, (size, latents), minval=0.1)
    lowest_Bx1 = jax.lax.top_k(value_BxD, k)[0][:, -1:]
    return jnp.where(value_BxD >= lowest_Bx1, value_BxD, 0.0)
