"""The JumpReLU sparse autoencoder: a threshold of its own for each latent, learnt."""

import functools
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Gt
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.losses import batch_average
from vae_topk_jax.models.dictionary import Dictionary, TrainingCode
from vae_topk_jax.models.system import check_k


class JumpReLUSAE(Dictionary):
    """A dictionary of D directions; a latent passes where it exceeds its own learnt threshold.

        f = pre where pre > theta, else 0,    pre = (x - b_dec) W_enc + b_enc
        loss = |x - x_hat|^2 + sparsity_weight (mean L0 / k - 1)^2

    The gradients of theta are straight-through: both the jump and the L0 count as if they rose over
    `bandwidth` around theta. `k` is the L0 that is aimed at; a weight that is too small misses it.

    Examples:
        >>> model = JumpReLUSAE(image_shape=(1, 1, 16), latent_dim=64, k=4, first_threshold=0.5)
        >>> x = jax.random.normal(jax.random.key(0), (32, 1, 1, 16))
        >>> variables = model.init(jax.random.key(1), x)
        >>> latents = model.apply(variables, x, method="latents")
        >>> latents[latents > 0].min().item() > 0.5
        True

    References:
        Rajamanoharan et al., "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
        Autoencoders", arXiv 2407.14435; the penalty around a target as in Gemma Scope 2 and
        dictionary_learning. theta itself is trained, not its logarithm.
    """

    k: Annotated[int, Ge(1)] = 8
    """How many latents an input is to have on average."""
    sparsity_weight: Annotated[float, Ge(0)] = 1.0
    """Weight of the squared relative distance of L0 from k."""
    first_threshold: Annotated[float, Gt(0)] = 0.1
    """The thresholds before training, in units of the latents."""
    bandwidth: Annotated[float, Gt(0)] = 0.1
    """Over which distance from a threshold a latent has a part in its gradient."""

    def check(self) -> None:
        check_k(self.k, self.latent_dim)

    def setup(self) -> None:
        super().setup()
        fill = nn.initializers.constant(self.first_threshold)
        self.threshold = self.param("threshold", fill, (self.latent_dim,), jnp.float32)

    def activation(self, pre_BxD: Array) -> Array:
        return jump_relu(pre_BxD, self.threshold, self.bandwidth)

    def sparsify(self, z_BxD: Array) -> Array:
        """z_BxD where it exceeds its threshold."""
        return super().sparsify(jump_relu(z_BxD, self.threshold, self.bandwidth))

    def penalty(self, code: TrainingCode, progress: ArrayLike) -> tuple[Array, dict[str, Array]]:
        """The squared relative distance of the batch's L0 from k."""
        active_BxD = above(code.pre_BxD, self.threshold, self.bandwidth)
        l0 = batch_average(jnp.sum(active_BxD, axis=1), code.valid_B)
        return self.sparsity_weight * jnp.square(l0 / self.k - 1.0), {"l0": l0}

    @staticmethod
    def optimizer(inner: optax.GradientTransformation) -> optax.GradientTransformation:
        """As for every dictionary; thresholds stay at 0 or above."""
        return optax.chain(Dictionary.optimizer(inner), optax.stateless(_not_negative))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def jump_relu(pre_BxD: Array, threshold_D: Array, bandwidth: float) -> Array:
    """pre where it exceeds its threshold, else 0.

    The derivative with respect to the threshold is taken to be -theta / bandwidth within half a
    bandwidth of it.

    Examples:
        >>> jump_relu(jnp.array([[0.5, 2.0]]), jnp.array([1.0, 1.0]), 0.1).tolist()
        [[0.0, 2.0]]
    """
    return jnp.where(pre_BxD > threshold_D[None, :], pre_BxD, 0.0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def above(pre_BxD: Array, threshold_D: Array, bandwidth: float) -> Array:
    """1 where pre exceeds its threshold, else 0; pre is a constant to differentiation.

    The derivative with respect to the threshold is taken to be -1 / bandwidth within half a
    bandwidth of it.

    Examples:
        >>> above(jnp.array([[0.5, 2.0]]), jnp.array([1.0, 1.0]), 0.1).tolist()
        [[0.0, 1.0]]
    """
    return (pre_BxD > threshold_D[None, :]).astype(jnp.float32)


def _near(pre_BxD: Array, threshold_D: Array, bandwidth: float) -> Array:
    return (jnp.abs(pre_BxD - threshold_D[None, :]) < bandwidth / 2).astype(jnp.float32) / bandwidth


def _keep(function, pre_BxD: Array, threshold_D: Array, bandwidth: float):
    return function(pre_BxD, threshold_D, bandwidth), (pre_BxD, threshold_D)


def _jump_relu_vjp(
    bandwidth: float, kept: tuple[Array, Array], cotangent_BxD: Array
) -> tuple[Array, Array]:
    pre_BxD, threshold_D = kept
    through_BxD = jnp.where(pre_BxD > threshold_D[None, :], cotangent_BxD, 0.0)
    near_BxD = _near(pre_BxD, threshold_D, bandwidth) * cotangent_BxD
    return through_BxD, -threshold_D * jnp.sum(near_BxD, axis=0)


def _above_vjp(
    bandwidth: float, kept: tuple[Array, Array], cotangent_BxD: Array
) -> tuple[Array, Array]:
    near_BxD = _near(*kept, bandwidth) * cotangent_BxD
    return jnp.zeros_like(cotangent_BxD), -jnp.sum(near_BxD, axis=0)


jump_relu.defvjp(functools.partial(_keep, jump_relu), _jump_relu_vjp)
above.defvjp(functools.partial(_keep, above), _above_vjp)


def _not_negative(updates: dict, params: dict) -> dict:
    moved_D = jnp.maximum(params["threshold"] + updates["threshold"], 0.0)
    return {**updates, "threshold": moved_D - params["threshold"]}
