"""Reading a checkpoint, with and without comparing its files with the manifest first."""

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

from experiments.bench.bench import MS, Bench
from experiments.bench.clock import Seconds
from experiments.bench.groups.training import mlp_config
from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column
from vae_topk_jax.checkpoint import restore_checkpoint, save_checkpoint
from vae_topk_jax.config import Config
from vae_topk_jax.run_info import RunInfo

LAYOUT = Experiment(
    "bench_restoring",
    "Speed: reading a checkpoint",
    "From the folder to the state; verified: after comparing SHA-256 sums of all its files.",
    (MS, Column("megabytes", "on disk", 1, "neither", "MB")),
)


def run(bench: Bench) -> None:
    """Adds two rows for each checkpoint: the MLP's, and that of a dictionary of many latents."""
    dictionary = Config(model="batch_topk_sae", latent_dim=bench.sizes.latent_dims[-1])
    for title, config in {"MLP": mlp_config(bench), "dictionary": dictionary}.items():
        _run_model(bench, title, config)


def _run_model(bench: Bench, title: str, config: Config) -> None:
    dataset = bench.dataset
    info = RunInfo(config, dataset.image_shape, dataset.describe(), dataset.digest)
    with tempfile.TemporaryDirectory(prefix="bench-checkpoint-") as folder:
        path = Path(folder) / "checkpoint"
        save_checkpoint(path, info.trainer.init(), info)
        megabytes = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        contestants = {
            "verified": functools.partial(restore_checkpoint, path),
            "not verified": functools.partial(restore_checkpoint, path, verify=False),
        }

        def describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
            return {"ms": 1e3 * seconds[model].median, "megabytes": megabytes}

        bench.race(LAYOUT.name, title, contestants, config.to_dict(), describe)
