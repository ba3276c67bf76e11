"""Sparse variational autoencoders in JAX: batch Top-K on the latent, EMA-based inference.

The names listed here and the functions of `vae_topk_jax.importance` and `vae_topk_jax.scores` are
the public interface.
"""

from typing import TYPE_CHECKING

from vae_topk_jax import importance, scores
from vae_topk_jax.element import element_top_k
from vae_topk_jax.ema import update_ema
from vae_topk_jax.selection import batch_top_k_mask, sample_top_k_mask

if TYPE_CHECKING:
    from vae_topk_jax.bottleneck import BatchTopK
    from vae_topk_jax.config import Config
    from vae_topk_jax.export import export_model, load_exported
    from vae_topk_jax.inference import from_pretrained, load, load_weights
    from vae_topk_jax.models import VAE, BatchTopKSAE, BetaVAE, TopKVAE
    from vae_topk_jax.runs.fit import fit
    from vae_topk_jax.runs.fit_many import fit_many

__version__ = "0.2.0"

_LAZY = {
    "BatchTopK": "vae_topk_jax.bottleneck",
    "Config": "vae_topk_jax.config",
    "VAE": "vae_topk_jax.models",
    "BatchTopKSAE": "vae_topk_jax.models",
    "BetaVAE": "vae_topk_jax.models",
    "TopKVAE": "vae_topk_jax.models",
    "export_model": "vae_topk_jax.export",
    "fit": "vae_topk_jax.runs.fit",
    "fit_many": "vae_topk_jax.runs.fit_many",
    "from_pretrained": "vae_topk_jax.inference",
    "load": "vae_topk_jax.inference",
    "load_exported": "vae_topk_jax.export",
    "load_weights": "vae_topk_jax.inference",
}

__all__ = [
    "VAE",
    "BatchTopK",
    "BatchTopKSAE",
    "BetaVAE",
    "Config",
    "TopKVAE",
    "batch_top_k_mask",
    "element_top_k",
    "export_model",
    "fit",
    "fit_many",
    "from_pretrained",
    "importance",
    "load",
    "load_exported",
    "load_weights",
    "sample_top_k_mask",
    "scores",
    "update_ema",
]


def __getattr__(name: str):
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
