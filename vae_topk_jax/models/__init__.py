"""One file a system; each is a linen module with the methods of `System`."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp

from vae_topk_jax.config import Config
from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE
from vae_topk_jax.models.sparse_generator import SparseGenerator
from vae_topk_jax.models.system import System
from vae_topk_jax.models.top_k_vae import TopKVAE
from vae_topk_jax.models.vae import VAE, BetaVAE
from vae_topk_jax.models.vsc import VSC

MODELS: dict[str, type[System]] = {
    "vae": VAE,
    "beta_vae": BetaVAE,
    "top_k_vae": TopKVAE,
    "batch_topk_sae": BatchTopKSAE,
    "vsc": VSC,
    "sparse_generator": SparseGenerator,
}


def build_model(config: Config, image_shape: Sequence[int]) -> System:
    """The untrained model that a configuration describes, for images of shape (H, W, C).

    Examples:
        >>> build_model(Config(model="top_k_vae", k=4), (28, 28, 1)).k
        4
    """
    model = MODELS[config.model]
    given = config.to_dict() | {
        "image_shape": tuple(image_shape),
        "widths": config.widths,
        "dtype": jnp.dtype(config.compute_dtype),
    }
    if config.model == "vae":
        del given["beta"]
    attributes = {field.name for field in dataclasses.fields(model) if field.init}
    return model(**{name: value for name, value in given.items() if name in attributes})


__all__ = ["MODELS", "VAE", "VSC", "BatchTopKSAE", "BetaVAE", "System", "TopKVAE", "build_model"]
