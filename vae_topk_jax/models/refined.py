"""Training on codes that refinement has improved."""

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Interval
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.objective import WithObjective
from vae_topk_jax.refinement import refined_codes

SHARE = 4  # one image of so many is refined, for a pass costs several steps


class WithRefinement(WithObjective):
    """A VAE that may learn from its own refined codes, so that its encoder comes closer to them.

    In the last part of training the loss has besides, with z* the code of an image after one pass
    of refinement, a constant to differentiation, and m* its support,

        reconstruction(decoder(z*), x) + reconstruction(decoder(m* mu), x) + choice

    where `choice`, by slot alone, is 0.001 times the cross-entropy of the encoder's choice and m*,
    averaged over the groups. The first term teaches the decoder the codes that it will be given,
    the others teach the encoder to give them. Of every four images the first is refined.

    References:
        Kim et al., "Semi-Amortized Variational Autoencoders", ICML 2018.
    """

    train_refined: Annotated[float, Interval(ge=0, le=1)] = dataclasses.field(
        default=0.0, kw_only=True
    )
    """Fraction of training, its last, in which encoder and decoder also learn from codes that a
    pass of refinement has improved."""

    def check(self) -> None:
        super().check()
        if self.train_refined and self.objective == "iwae":
            raise ValueError(
                f"train_refined must be 0 with objective 'iwae', got {self.train_refined}"
            )

    def refined_error(
        self, x_BxHxWxC: Array, target_BxHxWxC: Array, z_BxD: Array, label_B: Array | None
    ) -> Array:
        """What refined codes add to the loss of each example, error_B."""
        mask_BxD = (z_BxD != 0).astype(jnp.float32) if self.is_sparse else jnp.ones_like(z_BxD)
        mu_BxD, _, logits_BxD = self.heads(x_BxHxWxC, label_B)
        error_B = self.choice_error(logits_BxD, mask_BxD)
        for code_BxD in (z_BxD, mask_BxD * mu_BxD):
            seen_BxI = self.conditioned(self.decoder_input(code_BxD, mask_BxD), label_B)
            error_B += self._reconstruction(seen_BxI, target_BxHxWxC)
        return error_B

    def choice_error(self, logits_BxD: Array | None, mask_BxD: Array) -> Array:
        """error_B, how far the encoder is from choosing a mask; 0 where it learns no choice."""
        return jnp.zeros(len(mask_BxD), jnp.float32)

    def _learnt_from_refined(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None,
        progress: ArrayLike,
        label_B: Array | None,
    ) -> Array:
        """() what the loss has besides; 0 before the last part of training."""
        model, variables = self.unbind()
        x, target = x_BxHxWxC[::SHARE], target_BxHxWxC[::SHARE]
        valid, label = (None if rows is None else rows[::SHARE] for rows in (valid_B, label_B))

        def error() -> Array:
            constants = jax.lax.stop_gradient(variables)
            z_BxD = jax.lax.stop_gradient(refined_codes(model, constants, target, 1, label))
            error_B = model.apply(variables, x, target, z_BxD, label, method="refined_error")
            return batch_average(jnp.asarray(error_B), valid)

        is_due = jnp.asarray(progress) >= 1.0 - self.train_refined
        return jax.lax.cond(is_due, error, lambda: jnp.zeros((), jnp.float32))
