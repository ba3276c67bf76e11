"""A training step of a dictionary, the BatchTopK SAE, beside a square product of the same type."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.bench import MS, Bench
from experiments.bench.clock import Seconds
from experiments.bench.groups.training import SQUARE
from experiments.bench.peers import dictionary_learning as dictionary_peer
from experiments.bench.products import products_alone, square
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.config import Config
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import Trainer

Precision = Literal["float32", "bfloat16"]

LAYOUT = Experiment(
    "bench_dictionary",
    "Speed: a training step of a dictionary",
    "A BatchTopK SAE; its rate counts five products of a batch by inputs by latents.",
    (
        MS,
        Column("over_ours", "over ours", 2, "lower"),
        Column("gflops", "rate", 1, "higher", "GFLOP/s"),
        Column("share_of_square", "share of the square product's", 3, "higher"),
    ),
)
STEP = "a step of ours"
_PRODUCTS = 5  # two forward, of two kernels' gradients, and of the code's
_RUN = 10_000  # steps for which the run is planned


def run(bench: Bench) -> None:
    """Adds two rows for each size that fits and each type of the products."""
    types: tuple[Precision, ...] = ("float32",)
    if jax.default_backend() != "cpu":
        types = ("float32", "bfloat16")
    for size, inputs, latents, k in bench.sizes.dictionaries:
        for dtype in types:
            config = Config(
                model="batch_topk_sae",
                latent_dim=latents,
                k=k,
                batch_size=size,
                compute_dtype=dtype,
                epochs=1,
            )
            _run_step(bench, config, inputs)


def _run_step(bench: Bench, config: Config, inputs: int) -> None:
    size, latents, dtype = config.batch_size, config.latent_dim, config.compute_dtype
    trainer = Trainer(config, (1, 1, inputs), _RUN * size)
    shape = jax.ShapeDtypeStruct((size, 1, 1, inputs), jnp.float32)
    compiled = trainer.train_step.lower(jax.eval_shape(trainer.init), shape).compile()  # type: ignore[attr-defined]
    variant = f"({size}, {inputs}, {latents}), {dtype}"
    if not bench.fits(compiled, f"dictionary of {variant}"):
        return
    x_BxHxWxC = jax.random.normal(jax.random.key(0), shape.shape)
    state = trainer.init()

    def step() -> TrainState:
        nonlocal state
        state, _ = compiled(state, x_BxHxWxC)
        return state

    product = square(bench.sizes.square)
    contestants: dict[str, Callable[[], object]] = {
        STEP: step,
        SQUARE: products_alone([product], 1, dtype),
    }
    others = []
    if importlib.util.find_spec(dictionary_peer.MODULE):
        x_BxF = np.array(x_BxHxWxC).reshape(size, inputs)
        contestants[dictionary_peer.MODULE] = dictionary_peer.start(config, x_BxF, _RUN)
        others.append(dictionary_peer.MODULE)
    else:
        bench.note(f"{dictionary_peer.MODULE} is not installed")
    flops = dict.fromkeys(contestants, _PRODUCTS * 2 * size * inputs * latents)
    flops[SQUARE] = product.flops

    def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
        rate, of_square = (flops[title] / seconds[title].median for title in (model, SQUARE))
        metrics = {
            "ms": 1e3 * seconds[model].median,
            "gflops": rate / 1e9,
            "share_of_square": rate / of_square,
        }
        if model in others:
            metrics["over_ours"] = seconds[model].median / seconds[STEP].median
        return metrics

    settings = config.to_dict() | {"inputs": inputs}
    bench.race(LAYOUT.name, variant, contestants, settings, describe, others)
