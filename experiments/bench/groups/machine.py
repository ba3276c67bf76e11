"""What the machine can do: its rate of matrix products and its bandwidth."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from experiments.bench.bench import Bench
from experiments.bench.clock import Seconds
from experiments.bench.groups.training import mlp_config, mlp_products
from experiments.bench.products import Product, products_alone, square
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column

LAYOUT = Experiment(
    "bench_machine",
    "Speed: what the machine can do",
    "Products as they stand in a training step of the model, and a large square one.",
    (
        Column("gflops", "rate", 1, "higher", "GFLOP/s"),
        Column("gbytes_per_second", "bandwidth", 1, "higher", "GB/s"),
    ),
)


def run(bench: Bench) -> None:
    """Adds a row for each product of the model, for a large square one, and for copies."""
    products = {_title(product): product for product in mlp_products(bench)}
    products[f"{bench.sizes.square} squared"] = square(bench.sizes.square)

    def rate(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
        return {"gflops": products[model].flops / seconds[model].median / 1e9}

    contestants = {title: products_alone([product], 1) for title, product in products.items()}
    settings = {"batch_size": mlp_config(bench).batch_size}
    bench.race(LAYOUT.name, "matrix products, float32", contestants, settings, rate)

    def bandwidth(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
        moved = 2 * 4 * bench.sizes.copied  # read and written, float32
        return {"gbytes_per_second": moved / seconds[model].median / 1e9}

    settings = {"floats": bench.sizes.copied}
    bench.race(LAYOUT.name, "bandwidth", _copies(bench.sizes.copied), settings, bandwidth)


def _copies(size: int) -> dict[str, Callable[[], object]]:
    x_N = jnp.ones(size)
    copy, multiply = jax.jit(jnp.copy), jax.jit(lambda x_N: 2.0 * x_N)
    return {"copy": lambda: copy(x_N), "multiply by a number": lambda: multiply(x_N)}


def _title(product: Product) -> str:
    return " x ".join(f"{rows}x{columns}" for rows, columns in product.shapes)
