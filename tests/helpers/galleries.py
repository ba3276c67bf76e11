"""Dictionaries that have seen a batch, and what the scripts of a gallery hold."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.run_info import RunInfo


def dictionary(
    images: np.ndarray, latents: int, threshold: float = 0.3, **fields: Any
) -> Inference:
    """A BatchTopK SAE of these inputs with random directions and that threshold."""
    config = Config("batch_topk_sae", latent_dim=latents, k=2, batch_size=1, **fields)
    about = {"source": "made for a test", "train": len(images), "test": 0}
    info = RunInfo(config, images.shape[1:], about)
    state = info.trainer.init(images)
    kept = state.batch_stats["batch_top_k"]
    kept = kept | {"count": jnp.ones((), jnp.int32), "threshold": jnp.float32(threshold)}
    stats = state.batch_stats | {"batch_top_k": kept}
    return Inference(dataclasses.replace(state, batch_stats=stats), info, copy=False)


def data_of(gallery: Path, name: str) -> Any:
    """What a script of a gallery hands to the page."""
    text = (gallery / "data" / f"{name}.js").read_text(encoding="utf-8")
    found = re.fullmatch(r'gallery\.receive\("([\w-]+)",(.*)\)\n', text, re.DOTALL)
    assert found is not None
    assert found[1] == name
    return json.loads(found[2])
