"""The meta-SAE: a BatchTopK SAE of the directions that another SAE has learnt.

If the directions of a large dictionary are sparse sums of a few others, they are not atoms.

References: Leask et al., "Sparse Autoencoders Do Not Find Canonical Units of Analysis", ICLR 2025,
section 5.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_topk_jax.config import Config
from vae_topk_jax.models.batch_topk_sae import unit_rows

BATCHES_TO_DEATH = 100


def decoder_directions(params: Mapping[str, Any], latents: np.ndarray | None = None) -> np.ndarray:
    """What a meta-SAE is trained on: directions_Dx1x1xF, of length 1, as images for the trainer.

    Args:
        params: of a `BatchTopKSAE`.
        latents: indices of the latents to take; None: all.

    Examples:
        >>> params = {"W_dec": np.array([[0.0, 2.0], [3.0, 0.0]])}
        >>> decoder_directions(params, np.array([0])).tolist()
        [[[[0.0, 1.0]]]]
    """
    W_DxF = jnp.asarray(params["W_dec"], jnp.float32)
    W_DxF = W_DxF if latents is None else W_DxF[latents]
    return np.asarray(unit_rows(W_DxF))[:, None, None, :]


def meta_config(latent_dim: int, batch_size: int = 128, **fields: Any) -> Config:
    """The configuration of a meta-SAE: four meta-latents a direction, and the paper's settings.

    Args:
        latent_dim: how many meta-latents, fewer than there are directions.
        batch_size: directions a step.
        fields: others than the paper's.

    Examples:
        >>> meta_config(64, batch_size=32).dead_after
        3200
    """
    settings: dict[str, Any] = {
        "model": "batch_topk_sae",
        "k": 4,
        "learning_rate": 1e-4,
        "schedule": "constant",
        "aux_weight": 1 / 16,
        "dead_after": BATCHES_TO_DEATH * batch_size,
        "pixel_reduction": "sum",
    }
    return Config(**settings | {"latent_dim": latent_dim, "batch_size": batch_size} | fields)
