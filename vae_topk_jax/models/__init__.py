"""One file a system; each system is a linen module with the methods that the trainer calls.

init(key, x) -> variables {"params", "batch_stats"}
loss(x, target, valid, train=...) -> loss, terms
encode(x) -> codes,  decode(codes) -> images,  reconstruct(x) -> images
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp

from vae_topk_jax.config import Config
from vae_topk_jax.models.top_k_vae import TopKVAE
from vae_topk_jax.models.vae import VAE, BetaVAE


def build_model(config: Config, image_shape: Sequence[int]) -> VAE:
    """The untrained model that a configuration describes, for images of shape (H, W, C).

    Examples:
        >>> build_model(Config(model="top_k_vae", k=4), (28, 28, 1)).k
        4
    """
    model = {"vae": VAE, "beta_vae": BetaVAE, "top_k_vae": TopKVAE}[config.model]
    given = config.to_dict() | {
        "image_shape": tuple(image_shape),
        "widths": config.widths,
        "dtype": jnp.dtype(config.compute_dtype),
    }
    if config.model == "vae":
        del given["beta"]
    attributes = {field.name for field in dataclasses.fields(model) if field.init}
    return model(**{name: value for name, value in given.items() if name in attributes})


__all__ = ["VAE", "BetaVAE", "TopKVAE", "build_model"]
