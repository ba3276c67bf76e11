"""The residual blocks of the networks of priors."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jax import Array


def residual_blocks(h_BxF: Array, blocks: int) -> Array:
    """h_BxF after so many blocks, normalised. Its layers belong to the module that calls it.

        h <- h + W_2 silu(W_1 norm(h) + b_1) + b_2

    W_1 has 2 F outputs; W_2 is 0 before training.

    Args:
        h_BxF: features, of any leading axes.
        blocks: how many.
    """
    width = h_BxF.shape[-1]
    for _ in range(blocks):
        inner_BxI = nn.silu(nn.Dense(2 * width)(nn.LayerNorm()(h_BxF)))
        h_BxF += nn.Dense(width, kernel_init=nn.initializers.zeros)(inner_BxI)
    return nn.LayerNorm()(h_BxF)


def blocks_in(params: Mapping[str, Any]) -> int:
    """How many blocks these are the parameters of, in a module with no other normalisation.

    Examples:
        >>> import jax
        >>> class Network(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         return residual_blocks(x, blocks=3)
        >>> blocks_in(Network().init(jax.random.key(0), jax.numpy.ones((1, 2)))["params"])
        3
    """
    return sum(name.startswith("LayerNorm") for name in params) - 1
