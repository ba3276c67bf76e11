"""A trained model's answers: encode, reconstruct and generate."""

import functools
from collections.abc import Mapping

import jax

from experiments.bench.bench import MS, Bench
from experiments.bench.clock import Seconds
from experiments.bench.groups.training import lineup, mlp_config
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import ELEMENT
from vae_topk_jax.data import to_unit_float
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo

LAYOUT = Experiment(
    "bench_serving",
    "Speed: a trained model",
    "",
    (MS, Column("images_per_second", "images per second", 0, "higher")),
)


def run(bench: Bench) -> None:
    """Adds a row for each function at each batch size."""
    model = trained(bench)
    for size in bench.sizes.batches:
        x_BxHxWxC = jax.device_put(to_unit_float(bench.dataset.test_images[:size]))
        contestants = {
            "encode": functools.partial(model.encode, x_BxHxWxC),
            "reconstruct": functools.partial(model.reconstruct, x_BxHxWxC),
            "generate": functools.partial(model.generate, jax.random.key(0), size),
        }

        def describe(model: str, seconds: Mapping[str, Seconds], size=size) -> dict[str, float]:
            own = seconds[model].median
            return {"ms": 1e3 * own, "images_per_second": size / own}

        settings = model.config.to_dict() | {"images": size}
        bench.race(LAYOUT.name, f"batch of {size:,}", contestants, settings, describe)


def trained(bench: Bench) -> Inference:
    """The Top-K VAE by element after one epoch; how good it is does not matter here."""
    config = lineup(mlp_config(bench))[ELEMENT]
    dataset = bench.dataset.limit(bench.sizes.growth_images)
    info = RunInfo(config, dataset.image_shape, dataset.describe(), dataset.digest)
    trainer = info.trainer
    epoch = next(trainer.epochs(trainer.init(), dataset.train_images))
    return Inference(epoch.state, info)
