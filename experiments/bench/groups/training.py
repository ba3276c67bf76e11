"""Training: our models, their peers, and the machine's own products, in turns."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.bench.bench import Bench
from experiments.bench.clock import WARM_UP, Seconds
from experiments.bench.peers import registry as peers
from experiments.bench.products import Product, products_alone, products_of, square
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, trained_models
from vae_topk_jax.config import Config
from vae_topk_jax.data.rows import Images
from vae_topk_jax.training import Trainer

LAYOUT = Experiment(
    "bench_training",
    "Speed: training",
    "One epoch of each contestant in turn. Shares: the time of the epoch's matrix products "
    "alone over that of the epoch; the epoch's rate over that of a large square product.",
    (
        Column("examples_per_second", "examples per second", 0, "higher"),
        Column("seconds_epoch", "per epoch", 3, "lower", "s"),
        Column("over_beta", "over beta-VAE", 3, "lower"),
        Column("gflops", "rate", 1, "higher", "GFLOP/s"),
        Column("share_of_products", "share of its products' rate", 3, "higher"),
        Column("share_of_square", "share of the square product's", 3, "higher"),
    ),
)
LATENT_DIM, K = 64, 8
PRODUCTS, SQUARE = "its matrix products alone", "a square matrix product"


def run(bench: Bench) -> None:
    """Adds a row for each model and peer, MLP and convolutional."""
    _run_body(bench, "MLP", mlp_config(bench), bench.sizes.images, with_products=True)
    conv = _config(bench, body="conv", widths=bench.sizes.conv_widths)
    _run_body(bench, "convolutional", conv, bench.sizes.conv_images, with_products=False)


def mlp_config(bench: Bench) -> Config:
    """The Top-K VAE of Table 1 by element; the others share the fields that they have."""
    return _config(bench, widths=bench.sizes.mlp_widths)


def mlp_products(bench: Bench) -> list[Product]:
    """The distinct products of a step of that model."""
    products = products_of(mlp_config(bench), bench.dataset.image_shape)
    return list(dict.fromkeys(products))


def lineup(config: Config) -> dict[str, Config]:
    """The models of Table 1 that the bench trains, with all else as in `config`."""
    models = trained_models(config.latent_dim, config.k)
    return {title: config.replace(**models[title]) for title in (BASELINE, DIMENSION, ELEMENT)}


def epochs(config: Config, images_NxHxWxC: Images) -> Callable[[], Any]:
    """One more epoch of a training run at every call; there are as many as `config` says."""
    trainer = Trainer(config, images_NxHxWxC.shape[1:], len(images_NxHxWxC))
    return functools.partial(next, trainer.epochs(trainer.init(), images_NxHxWxC))


def whole_batches(images_NxHxWxC: np.ndarray, most: int, batch_size: int) -> np.ndarray:
    """The first images, at most so many, of which no batch is partial."""
    return images_NxHxWxC[: min(most, len(images_NxHxWxC)) // batch_size * batch_size]


def _config(bench: Bench, **fields: Any) -> Config:
    rounds = bench.sizes.rounds + WARM_UP
    return Config(model="top_k_vae", latent_dim=LATENT_DIM, k=K, epochs=rounds, **fields)


def _run_body(bench: Bench, name: str, config: Config, most: int, with_products: bool) -> None:
    images = whole_batches(bench.dataset.train_images, most, config.batch_size)
    contestants: dict[str, Callable[[], object]] = {
        title: epochs(own, images) for title, own in lineup(config).items()
    }
    others = {title: peer.start(config, images) for title, peer in peers.installed(bench).items()}
    contestants |= others
    flops = 0
    if with_products:
        products = products_of(config, images.shape[1:])
        steps = len(images) // config.batch_size
        flops = steps * sum(product.flops for product in products)
        contestants[PRODUCTS] = products_alone(products, steps)
        contestants[SQUARE] = products_alone([square(bench.sizes.square)], 1)

    def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
        own = seconds[model]
        if model == SQUARE:
            return {"gflops": square(bench.sizes.square).flops / own.median / 1e9}
        metrics = {
            "examples_per_second": len(images) / own.median,
            "seconds_epoch": own.median,
            "over_beta": own.median / seconds[BASELINE].median,
            "over_dimension": own.median / seconds[DIMENSION].median,
        }
        if with_products:
            rate = flops / own.median
            of_square = square(bench.sizes.square).flops / seconds[SQUARE].median
            metrics["gflops"] = rate / 1e9
            metrics["share_of_products"] = seconds[PRODUCTS].median / own.median
            metrics["share_of_square"] = rate / of_square
        return metrics

    settings = config.to_dict() | {"images": len(images), "square": bench.sizes.square}
    variant = f"{name} {'-'.join(map(str, config.widths))}"
    bench.race(LAYOUT.name, variant, contestants, settings, describe, others, least_seconds=0.0)
