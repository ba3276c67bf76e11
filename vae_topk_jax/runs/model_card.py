"""The model card of exported model files: what the run knows about the model, and no more."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jinja2

import vae_topk_jax
from experiments.reporting.layout import define
from experiments.records.rows import RESULTS_NAME, Row, read_results
from vae_topk_jax.run_info import RunInfo
from vae_topk_jax.config import Config
from vae_topk_jax.export import ABOUT, PROGRAMS
from vae_topk_jax.files import write_atomic
from vae_topk_jax.inference import Inference
from vae_topk_jax.manifest import NAME as MANIFEST
from vae_topk_jax.weights import WEIGHTS

CARD = "README.md"
_TEMPLATE = Path(__file__).with_name("model_card.md.j2")
_CONTENTS = {
    "encoder.stablehlo": "images to codes, for CPU, CUDA and TPU; the weights are inside",
    "decoder.stablehlo": "codes to images, likewise",
    WEIGHTS: "the weights by themselves",
    ABOUT: "configuration, image shape, source of the data",
    MANIFEST: "SHA-256 sums of the files above",
}


def write_card(folder: Path, inference: Inference, row: Row | None) -> Path:
    """Writes `README.md` beside the model files in `folder`.

    Args:
        folder: the model files.
        inference: the model.
        row: its measurement, if there is one.

    Returns:
        The card's path.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    path = folder / CARD
    write_atomic(path, (template.render(_facts(folder, inference, row)) + "\n").encode())
    return path


def find_row(checkpoint: Path, inference: Inference) -> Row | None:
    """What `experiments.train` measured of the model when its training ended.

    Args:
        checkpoint: the run's folder of checkpoints, or one in it.
        inference: the model in it.
    """
    if int(inference.state.step) != inference.info.trainer.total_steps:
        return None
    for folder in checkpoint.resolve().parents[:2]:
        if (folder / RESULTS_NAME).is_file():
            rows = [row for row in read_results(folder).rows if _is_of(row, inference.info)]
            return rows[-1] if rows else None
    return None


def changed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that are not the defaults, but for the seed.

    Examples:
        >>> changed_settings(Config(k=4, seed=3).to_dict())
        {'k': 4}
    """
    defaults = Config().to_dict() | {"seed": settings.get("seed")}
    return {name: x for name, x in settings.items() if x != defaults.get(name, x)}


def _is_of(row: Row, info: RunInfo) -> bool:
    return row.experiment == "train" and (row.config, row.data) == (
        info.config.to_dict(),
        info.data,
    )


def _facts(folder: Path, inference: Inference, row: Row | None) -> dict[str, Any]:
    config, info = inference.config, inference.info
    is_sparse = config.model not in ("vae", "beta_vae")
    chosen = f", {config.k} of {config.latent_dim}" if is_sparse else f", {config.latent_dim}"
    low_high = inference.model.input_range
    present = {name: text for name, text in _CONTENTS.items() if (folder / name).exists()}
    metrics = {} if row is None else row.metrics
    return {
        "title": f"{config.model}{chosen} latents",
        "summary": f"A {config.model} of the library with {config.latent_dim} latents, "
        f"{len(inference.active_dims)} of them in use.",
        "version": vae_topk_jax.__version__,
        "jax": jax.__version__,
        "files": present,
        "shape": ", ".join(map(str, info.image_shape)),
        "value_range": "" if low_high is None else " in [{:g}, {:g}]".format(*low_high),
        "folder": folder.name,
        "encoder": "encoder.stablehlo" in present,
        "decoder": "decoder.stablehlo" in present,
        "programs": [f"{name}.stablehlo" for name in PROGRAMS if f"{name}.stablehlo" in present],
        "latent_dim": config.latent_dim,
        "data": f"Data: {info.data['source']}, {info.data['train']:,} training images",
        "step": f"{int(inference.state.step):,}",
        "total_steps": f"{info.trainer.total_steps:,}",
        "seed": config.seed,
        "changes": ", ".join(f"{k}={v}" for k, v in changed_settings(config.to_dict()).items()),
        "metrics": {name: f"{value:.5g}" for name, value in metrics.items()},
        "definitions": list(define(metrics)),
        "test": f"{info.data['test']:,}",
        "selection": ". What is active is decided by statistics of training" if is_sparse else "",
    }
