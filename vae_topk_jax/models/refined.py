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
    """A VAE whose decoder may learn from refined codes too, those that inference gives it.

    In the last part of training the loss has besides

        reconstruction(decoder(z*), x),    z* the code of x after one pass of refinement,

    averaged over the first of every four images. z* is a constant to differentiation: only the
    decoder learns from this term.

    References:
        Kim et al., "Semi-Amortized Variational Autoencoders", ICML 2018.
    """

    train_refined: Annotated[float, Interval(ge=0, le=1)] = dataclasses.field(
        default=0.0, kw_only=True
    )
    """Fraction of training, its last, in which the decoder also learns from codes that a pass of
    refinement has improved."""

    def check(self) -> None:
        super().check()
        if self.train_refined and self.objective == "iwae":
            raise ValueError(
                f"train_refined must be 0 with objective 'iwae', got {self.train_refined}"
            )

    def _refined_reconstruction(
        self,
        x_BxHxWxC: Array,
        target_BxHxWxC: Array,
        valid_B: Array | None,
        progress: ArrayLike,
        label_B: Array | None,
    ) -> Array:
        """() the reconstruction term of refined codes; 0 before the last part of training."""
        x, target = x_BxHxWxC[::SHARE], target_BxHxWxC[::SHARE]
        valid, label = (None if rows is None else rows[::SHARE] for rows in (valid_B, label_B))
        model, variables = self.unbind()
        constants = jax.lax.stop_gradient(variables)  # else the passes are differentiated too

        def error() -> Array:
            z_BxD = refined_codes(model, constants, x, 1, label)
            codes = (z_BxD, target, valid, label)
            return jnp.asarray(model.apply(variables, *codes, method="_error_of_codes"))

        is_due = jnp.asarray(progress) >= 1.0 - self.train_refined
        return jax.lax.cond(is_due, error, lambda: jnp.zeros((), jnp.float32))

    def _error_of_codes(
        self, z_BxD: Array, target_BxHxWxC: Array, valid_B: Array | None, label_B: Array | None
    ) -> Array:
        error_B = self._reconstruction(self.seen(z_BxD, label_B), target_BxHxWxC)
        return batch_average(error_B, valid_B)
