"""The model card of exported model files: what is known of the model, and no more."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jinja2

import vae_topk_jax
from vae_topk_jax.export import PROGRAMS
from vae_topk_jax.files import write_atomic
from vae_topk_jax.manifest import NAME as MANIFEST
from vae_topk_jax.model_files import ABOUT, CARD, WEIGHTS

if TYPE_CHECKING:
    from vae_topk_jax.inference import Inference

_TEMPLATE = Path(__file__).with_name("model_card.md.j2")
_CONTENTS = {
    "encoder.stablehlo": "images to codes, for CPU, CUDA and TPU; the weights are inside",
    "decoder.stablehlo": "codes to images, likewise",
    WEIGHTS: "the weights by themselves",
    ABOUT: "configuration, image shape, source of the data",
    MANIFEST: "SHA-256 checksums of the files above",
}


def write_card(
    folder: Path,
    inference: "Inference",
    metrics: Mapping[str, float] = MappingProxyType({}),
    definitions: Iterable[str] = (),
    repo: str = "",
) -> Path:
    """Writes `README.md` beside the model files in `folder`.

    Args:
        folder: the model files.
        inference: the model.
        metrics: measured of the model on the test images, if it was.
        definitions: of the metrics, a sentence each.
        repo: OWNER/NAME, where the folder goes to a hub.

    Returns:
        The card's path.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    path = folder / CARD
    facts = _facts(folder, inference, metrics)
    facts |= {"definitions": list(definitions), "repo": repo}
    write_atomic(path, (template.render(facts) + "\n").encode())
    return path


def _facts(folder: Path, inference: "Inference", metrics: Mapping[str, float]) -> dict[str, Any]:
    config, info = inference.config, inference.info
    is_vector = info.image_shape[:2] == (1, 1)
    is_sparse = config.system.is_sparse
    low_high = inference.input_range
    present = {name: text for name, text in _CONTENTS.items() if (folder / name).exists()}
    return {
        "title": f"{config.model}, {config.system.summary}",
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
        "task": "feature-extraction" if is_vector else "image-feature-extraction",
        "latent_dim": config.latent_dim,
        "data": f"Data: {info.data['source']}, {info.data['train']:,} training images",
        "step": f"{int(inference.state.step):,}",
        "total_steps": f"{info.trainer.total_steps:,}",
        "seed": config.seed,
        "changes": ", ".join(f"{k}={v}" for k, v in config.changed().items()),
        "metrics": {name: f"{value:.5g}" for name, value in metrics.items()},
        "test": f"{info.data['test']:,}",
        "measured": info.measured,
        "selection": ". What is active is decided by statistics of training" if is_sparse else "",
    }
