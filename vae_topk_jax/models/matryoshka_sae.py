"""The Matryoshka BatchTopK sparse autoencoder: a dictionary whose beginnings are dictionaries."""

from typing import Annotated

import jax.numpy as jnp
from annotated_types import Interval
from jax import Array

from vae_topk_jax.models.batch_topk_sae import BatchTopKSAE


class MatryoshkaSAE(BatchTopKSAE):
    """A `BatchTopKSAE` whose first latents reconstruct the input by themselves as well.

        loss = sum over widths w of |x - x_hat_w|^2 + the penalty of `BatchTopKSAE`
        x_hat_w = sum over d < w of z_d W_dec_d + b_dec,    w in the inner widths and D

    So the first latents are the general ones, and a latent does not take over what another one of
    its features implies (absorption).

    Examples:
        >>> MatryoshkaSAE(image_shape=(1, 1, 16), latent_dim=64).widths
        (2, 8, 32, 64)

    References:
        Bussmann, Nabeshima, Karvonen & Nanda, "Learning Multi-Level Features with Matryoshka Sparse
        Autoencoders", arXiv 2503.17547.
    """

    group_fractions: Annotated[tuple[float, ...], Interval(gt=0, lt=1)] = (1 / 32, 1 / 8, 1 / 2)
    """The inner widths, ascending, as fractions of the number of latents; 128, 512 and 2,048 of
    4,096."""

    def check(self) -> None:
        super().check()
        pairs = zip(self.group_fractions, self.group_fractions[1:], strict=False)
        if any(after <= before for before, after in pairs):
            raise ValueError(f"group_fractions must ascend, got {self.group_fractions}")

    @property
    def widths(self) -> tuple[int, ...]:
        """How many latents each reconstruction has; each width once, D the last."""
        inner = (max(1, round(fraction * self.latent_dim)) for fraction in self.group_fractions)
        return tuple(sorted({*inner, self.latent_dim}))

    def error(self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None) -> Array:
        """The sum of the errors of all widths."""
        target_BxF = self.standardized(target_BxHxWxC).reshape(len(z_BxD), -1)
        left_BxF = target_BxF - self.b_dec[None, :]
        total, start = jnp.float32(0.0), 0
        for width in self.widths:
            inner = slice(start, width)
            left_BxF = left_BxF - self._product(z_BxD[:, inner], self.W_dec[inner])
            total = total + self._squared(left_BxF, valid_B)
            start = width
        return total
