"""How far the decoder's output moves with each latent dimension."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.ema import update_ema
from vae_topk_jax.importance import batch_mean


class DecoderSensitivity(nn.Module):
    """A running estimate of the norm of the decoder's Jacobian, column by column.

        sensitivity_d = sqrt(E ||d decode(z) / d z_d||^2)

    One product of a random sign vector v with the Jacobian gives all columns at once, for
    E_v (v . J_d)^2 = ||J_d||^2: a decoder pass forth and back, on every `every`-th batch. Kept
    in `batch_stats` (`squared`, float32; `calls`, int32); 1 before the first estimate.

    Attributes:
        size: D.
        every: batches from one estimate to the next.
        decay: of the running average over the estimates.

    Examples:
        >>> layer = DecoderSensitivity(size=2, every=1, decay=0.9)
        >>> def decode(z_BxD):
        ...     return z_BxD @ jnp.array([[3.0], [0.5]])
        >>> args = (decode, jnp.zeros((4, 2)), jax.random.key(0))
        >>> _, stats = layer.apply({}, *args, method="observe", mutable="batch_stats")
        >>> layer.apply(stats).tolist()
        [3.0, 0.5]
    """

    size: int
    every: int
    decay: float

    def setup(self) -> None:
        self.squared = self.variable("batch_stats", "squared", jnp.ones, (self.size,), jnp.float32)
        self.calls = self.variable("batch_stats", "calls", jnp.zeros, (), jnp.int32)

    def __call__(self) -> Array:
        """sensitivity_D, in units of the decoder's output per unit of the latent."""
        return jnp.sqrt(self.squared.value)

    def observe(
        self,
        decode: Callable[[Array], Array],
        z_BxD: Array,
        key: Array,
        valid_B: Array | None = None,
    ) -> None:
        """Counts a batch, and estimates anew on every `every`-th; a batch whose estimate is not
        finite does not count.

        Args:
            decode: a pure function of the codes.
            z_BxD: the codes that are decoded, after the mask.
            key: of the random signs.
            valid_B: marks the real examples of a padded batch.

        Raises:
            ValueError: other shapes.
            flax.errors.ModifyScopeVariableError: `batch_stats` is not mutable in this call.
        """
        if self.is_initializing():
            return
        squared_D, calls = self.squared.value, self.calls.value

        def estimate() -> Array:
            output, pull_back = jax.vjp(decode, jax.lax.stop_gradient(z_BxD))
            (slope_BxD,) = pull_back(jax.random.rademacher(key, output.shape, output.dtype))
            observed_D = batch_mean(jnp.square(slope_BxD.astype(jnp.float32)), valid_B)
            return update_ema(squared_D, observed_D, calls // self.every, self.decay)

        updated_D = jax.lax.cond(calls % self.every == 0, estimate, lambda: squared_D)
        is_finite = jnp.all(jnp.isfinite(updated_D))
        self.squared.value = jax.lax.stop_gradient(jnp.where(is_finite, updated_D, squared_D))
        self.calls.value = calls + is_finite.astype(jnp.int32)
