"""How training grows with the batch, the latent dimensions and K."""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.bench.bench import Bench, Metrics, over_rounds
from experiments.bench.clock import Seconds, alternate
from experiments.bench.groups.training import epochs, lineup, mlp_config, whole_batches
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT
from vae_topk_jax.config import Config

LAYOUT = Experiment(
    "bench_growth",
    "Speed: growth",
    "Examples per second in training.",
    (
        Column("examples_per_second_beta", "beta-VAE", 0),
        Column("examples_per_second_dimension", "Top-K by dimension", 0),
        Column("examples_per_second_element", "Top-K by element", 0),
    ),
)
METRICS = {BASELINE: "beta", DIMENSION: "dimension", ELEMENT: "element"}


def run(bench: Bench) -> None:
    """Adds a row for every point of every curve."""
    config, sizes = mlp_config(bench), bench.sizes
    _run_curve(bench, config, "batch size", [{"batch_size": size} for size in sizes.batch_sizes])
    dims = [{"latent_dim": size, "k": min(config.k, size)} for size in sizes.latent_dims]
    _run_curve(bench, config, "latent dimensions", dims)
    _run_curve(bench, config, "K of 64", [{"k": k} for k in sizes.ks])


def _run_curve(
    bench: Bench, config: Config, curve: str, points: Sequence[Mapping[str, Any]]
) -> None:
    runs, counts = {}, []
    for number, point in enumerate(points):
        base = config.replace(**point)
        images = whole_batches(
            bench.dataset.train_images, bench.sizes.growth_images, base.batch_size
        )
        counts.append(len(images))
        for title, own in lineup(base).items():
            runs[number, title] = epochs(own, images)
    seconds = alternate(runs, bench.sizes.rounds)
    for number, point in enumerate(points):
        point_seconds = {title: seconds[number, title] for title in METRICS}

        def describe(seconds: Mapping[str, Seconds], images: int = counts[number]) -> Metrics:
            return {
                f"examples_per_second_{name}": images / seconds[title].median
                for title, name in METRICS.items()
            }

        metrics = over_rounds(describe, point_seconds, range(bench.sizes.rounds))
        total = sum(one.total for one in point_seconds.values())
        settings = config.replace(**point).to_dict() | {"images": counts[number]}
        model = f"{next(iter(point.values())):,}"
        bench.add(LAYOUT.name, curve, model, settings, metrics, total)
