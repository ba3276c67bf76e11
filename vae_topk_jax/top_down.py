"""Levels of latents from the top down: where the prior of a level lies, given those above."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

# The logarithm of a prior's scale lies between minus and plus this.
LARGEST_LOGSCALE = 2.0


class TopDown(nn.Module):
    """Codes in units of their prior, u -> the latents themselves, z = m + s u.

        c_l = ReLU(W_l (c_{l-1}, z_{l-1})),    (m_l, log s_l) = linear maps of c_l

    with z_1 = u_1. The maps start at zero, so that at first z is u.

    Attributes:
        levels: how many latents each level has, the top one first.
        width: of the contexts c.
        dtype: of the layers' arithmetic.

    Examples:
        >>> import jax
        >>> layer, u_BxD = TopDown(levels=(1, 2), width=4), jnp.ones((3, 3))
        >>> variables = layer.init(jax.random.key(0), u_BxD)
        >>> layer.apply(variables, u_BxD).shape
        (3, 3)
    """

    levels: Sequence[int]
    width: int
    dtype: jnp.dtype = jnp.dtype("float32")

    def setup(self) -> None:
        zeros = nn.initializers.zeros
        lower = self.levels[1:]
        self.contexts = [nn.Dense(self.width, dtype=self.dtype) for _ in lower]
        self.means = [nn.Dense(size, dtype=self.dtype, kernel_init=zeros) for size in lower]
        self.logscales = [nn.Dense(size, dtype=self.dtype, kernel_init=zeros) for size in lower]

    def __call__(self, u_BxD: Array) -> Array:
        """z_BxD of all levels."""
        context_BxF, placed, start = None, [], 0
        for level, size in enumerate(self.levels):
            if level:
                context_BxF = self.context(level, placed[-1], context_BxF)
            placed.append(self.placed(level, u_BxD[:, start : start + size], context_BxF))
            start += size
        return jnp.concatenate(placed, axis=-1)

    def context(self, level: int, above_BxD: Array, context_BxF: Array | None) -> Array:
        """What a level below the top knows of those above it.

        Args:
            level: its number, from 1 on; 0 is the top one.
            above_BxD: the latents z of the level above.
            context_BxF: what that level knew; None where it is the top one.
        """
        above_BxD = above_BxD.astype(self.dtype)
        seen = [above_BxD] if context_BxF is None else [context_BxF, above_BxD]
        return nn.relu(self.contexts[level - 1](jnp.concatenate(seen, axis=-1)))

    def placed(self, level: int, u_BxD: Array, context_BxF: Array | None) -> Array:
        """z_BxD of one level; its codes themselves at the top, where the context is None."""
        if context_BxF is None:
            return u_BxD
        mean_BxD, raw_BxD = (
            layers[level - 1](context_BxF).astype(jnp.float32)
            for layers in (self.means, self.logscales)
        )
        logscale_BxD = LARGEST_LOGSCALE * jnp.tanh(raw_BxD / LARGEST_LOGSCALE)
        return mean_BxD + jnp.exp(logscale_BxD) * u_BxD


class Posterior(nn.Module):
    """(mu, logvar) of a level, float32, from features of the input and what is known above.

    Attributes:
        size: how many latents the level has.
        width: of the layer that combines the two.
        dtype: of the layers' arithmetic.
    """

    size: int
    width: int
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, h_BxF: Array, context_BxF: Array | None) -> tuple[Array, Array]:
        if context_BxF is not None:
            both_BxF = jnp.concatenate([h_BxF, context_BxF], axis=-1)
            h_BxF = nn.relu(nn.Dense(self.width, dtype=self.dtype)(both_BxF))
        mu_BxD, logvar_BxD = (nn.Dense(self.size, dtype=self.dtype)(h_BxF) for _ in range(2))
        return mu_BxD.astype(jnp.float32), logvar_BxD.astype(jnp.float32)
