"""The meta-SAE: a BatchTopK SAE of the directions that another SAE has learnt.

Directions of a large dictionary that are sparse sums of a few others are not its atoms.

References: Leask et al., "Sparse Autoencoders Do Not Find Canonical Units of Analysis", ICLR 2025,
section 5.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_topk_jax.vectors import unit_rows


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
