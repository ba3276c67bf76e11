"""What makes a latent dimension matter: pure functions of a batch of posteriors.

Every importance has one signature,

    importance(z_BxD, mu_BxD, logvar_BxD, valid_B=None, axis_name=None) -> importance_D

where `z` is a sample of the posterior N(mu, exp(logvar)), B stands for any leading axes, which are
one batch together, `valid_B` marks the real examples of a padded batch (None: all of them) and
`axis_name` names a mapped axis the batch is split over (None: the batch is not split). The result
is float32 whatever the compute type; larger means more important.
Arrays of shapes that differ, other types than real numbers, and empty batches are refused with a
ValueError.
"""

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax import scores
from vae_topk_jax.checks import check_latent, check_valid, lookup
from vae_topk_jax.folding import fold, fold_valid


class Importance(Protocol):
    """The signature that every importance shares."""

    def __call__(
        self,
        z_BxD: Array,
        mu_BxD: Array,
        logvar_BxD: Array,
        valid_B: Array | None = None,
        axis_name: str | None = None,
    ) -> Array:
        """Returns importance_D."""
        ...


def batch_mean(x_BxD: Array, valid_B: Array | None = None, axis_name: str | None = None) -> Array:
    """Mean over the valid examples of the whole (possibly split) batch, in float32.

    Args:
        x_BxD: values (..., D), any real type; all leading axes are the batch.
        valid_B: 1 or True for a real example, 0 or False for padding; of the leading shape.
        axis_name: mapped axis over which the batch is split.

    Returns:
        mean_D, float32; NaN where no example is valid.

    Raises:
        ValueError: shapes that do not fit, an empty batch, no real numbers.

    Examples:
        >>> x_BxD = jnp.array([[1.0, 2.0], [3.0, 6.0], [9.0, 9.0]])
        >>> batch_mean(x_BxD, jnp.array([1, 1, 0])).tolist()
        [2.0, 4.0]
    """
    check_latent(x=x_BxD)
    check_valid(valid_B, *x_BxD.shape[:-1])
    x_BxD, valid_B = fold(x_BxD).astype(jnp.float32), fold_valid(valid_B)
    if valid_B is None:
        mean_D = jnp.mean(x_BxD, axis=0)
        return mean_D if axis_name is None else jax.lax.pmean(mean_D, axis_name)
    valid_Bx1 = valid_B.astype(bool)[:, None]
    total_D = jnp.sum(jnp.where(valid_Bx1, x_BxD, 0.0), axis=0)
    count = jnp.sum(valid_Bx1, dtype=jnp.float32)
    if axis_name is not None:
        total_D, count = jax.lax.psum((total_D, count), axis_name)
    return total_D / count


def mean_abs_z(z_BxD, mu_BxD, logvar_BxD, valid_B=None, axis_name=None):
    """E|z|, the literal rule of the paper (section 2.1).

    A dimension that carries nothing has z ~ N(0, 1) and scores sqrt(2 / pi) = 0.80, as much as an
    informative one: where the KL term is strong enough to switch dimensions off, this rule draws
    its mask from noise.

    Examples:
        >>> z = jnp.array([[1.0, -3.0], [1.0, 3.0]])
        >>> mean_abs_z(z, z, z).tolist()
        [1.0, 3.0]
    """
    return batch_mean(scores.abs_z(z_BxD, mu_BxD, logvar_BxD), valid_B, axis_name)


def mean_abs_mu(z_BxD, mu_BxD, logvar_BxD, valid_B=None, axis_name=None):
    """E|mu|: the literal rule without the posterior's noise; 0 for a dimension at its prior.

    Examples:
        >>> mu = jnp.array([[1.0, 0.0], [-3.0, 0.0]])
        >>> mean_abs_mu(mu, mu, mu).tolist()
        [2.0, 0.0]
    """
    return batch_mean(scores.abs_mu(z_BxD, mu_BxD, logvar_BxD), valid_B, axis_name)


def kl(z_BxD, mu_BxD, logvar_BxD, valid_B=None, axis_name=None):
    """KL(N(mu, sigma^2) || N(0, 1)) of each dimension in nats, averaged over the batch.

    The rate that the dimension costs, an upper bound on the information it carries about the
    input; 0 for a dimension at its prior.

    Examples:
        >>> mu, logvar = jnp.array([[2.0, 0.0]]), jnp.zeros((1, 2))
        >>> kl(mu, mu, logvar).tolist()
        [2.0, 0.0]
    """
    return batch_mean(scores.element_kl(z_BxD, mu_BxD, logvar_BxD), valid_B, axis_name)


def signal_to_noise(z_BxD, mu_BxD, logvar_BxD, valid_B=None, axis_name=None):
    """E[mu^2] / E[sigma^2]: the power of the posterior mean over that of its noise.

    Examples:
        >>> mu, logvar = jnp.array([[2.0, 0.0]]), jnp.zeros((1, 2))
        >>> signal_to_noise(mu, mu, logvar).tolist()
        [4.0, 0.0]
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    signal_D = batch_mean(jnp.square(mu_BxD.astype(jnp.float32)), valid_B, axis_name)
    noise_D = batch_mean(scores.variance(logvar_BxD.astype(jnp.float32)), valid_B, axis_name)
    return signal_D / jnp.maximum(noise_D, jnp.finfo(jnp.float32).tiny)


def fixed(z_BxD, mu_BxD, logvar_BxD, valid_B=None, axis_name=None):
    """One random order of the dimensions, the same for every batch: the baseline that looks at
    nothing.

    Examples:
        >>> z = jnp.ones((2, 4))
        >>> sorted(fixed(z, z, z).tolist())
        [0.0, 1.0, 2.0, 3.0]
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    order_D = jax.random.permutation(jax.random.key(0), z_BxD.shape[-1])
    return order_D.astype(jnp.float32)


IMPORTANCES: dict[str, Importance] = {
    "mean_abs_z": mean_abs_z,
    "mean_abs_mu": mean_abs_mu,
    "kl": kl,
    "signal_to_noise": signal_to_noise,
    "fixed": fixed,
}


def resolve(importance: str | Callable[..., Array]) -> Callable[..., Array]:
    """The importance of that name, or the callable itself.

    Raises:
        ValueError: the name is not in `IMPORTANCES`.

    Examples:
        >>> resolve("kl") is kl
        True
    """
    return lookup("importance", importance, IMPORTANCES)
