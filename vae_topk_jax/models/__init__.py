"""One file a system; each system is a linen module with the methods that the trainer calls.

init(key, x) -> variables {"params", "batch_stats"}
loss(x, target, valid, train=...) -> loss, terms
encode(x) -> codes,  decode(codes) -> images,  reconstruct(x) -> images
"""

from collections.abc import Sequence

import jax.numpy as jnp

from vae_topk_jax.config import Config
from vae_topk_jax.models.vae import VAE, BetaVAE, TopKVAE


def build_model(config: Config, image_shape: Sequence[int]) -> VAE:
    """The untrained model that a configuration describes, for images of shape (H, W, C).

    Examples:
        >>> build_model(Config(model="top_k_vae", k=4), (28, 28, 1)).k
        4
    """
    options: dict = {
        "image_shape": tuple(image_shape),
        "latent_dim": config.latent_dim,
        "body": config.body,
        "widths": config.widths,
        "likelihood": config.likelihood,
        "pixel_reduction": config.pixel_reduction,
        "latent_reduction": config.latent_reduction,
        "dtype": jnp.dtype(config.compute_dtype),
    }
    if config.model == "vae":
        return VAE(**options)
    if config.model == "beta_vae":
        return BetaVAE(**options, beta=config.beta)
    return TopKVAE(
        **options,
        beta=config.beta,
        k=config.k,
        importance=config.importance,
        ema_decay=config.ema_decay,
    )


__all__ = ["VAE", "BetaVAE", "TopKVAE", "build_model"]
