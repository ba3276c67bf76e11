"""How much one entry of a latent matters: pure functions of a batch of posteriors.

Every score has one signature,

    score(z_BxD, mu_BxD, logvar_BxD) -> score_BxD

where B stands for any leading axes, and is float32 whatever the compute type; larger matters more.
Arrays of shapes that differ, and of other types than real numbers, are refused with a ValueError.
Selection by element and per sample ranks the scores themselves; most importances are their mean
over the batch. A score decides which entries pass, not what passes: one may select on mu and decode
the sample z.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.checks import check_latent

Score = Callable[[Array, Array, Array], Array]


def abs_z(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """|z|, with the posterior's noise: an entry at its prior scores 0.80 on average.

    At inference z is the mean, so a threshold learnt from samples lets fewer entries pass there.
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    return jnp.abs(z_BxD).astype(jnp.float32)


def abs_mu(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """|mu|: an entry at its prior scores 0.

    Examples:
        >>> abs_mu(jnp.ones((1, 2)), jnp.array([[-2.0, 0.0]]), jnp.zeros((1, 2))).tolist()
        [[2.0, 0.0]]
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    return jnp.abs(mu_BxD).astype(jnp.float32)


def element_kl(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """KL(N(mu, sigma^2) || N(0, 1)) of the entry in nats, (mu^2 + sigma^2 - 1 - log sigma^2) / 2.

    Infinite where sigma^2 is no longer a float32, with a gradient that is finite (see `variance`).

    Examples:
        >>> mu_BxD = jnp.array([[2.0, 0.0]])
        >>> element_kl(mu_BxD, mu_BxD, jnp.zeros((1, 2))).tolist()
        [[2.0, 0.0]]
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    mu_BxD, logvar_BxD = mu_BxD.astype(jnp.float32), logvar_BxD.astype(jnp.float32)
    return 0.5 * (jnp.square(mu_BxD) + variance(logvar_BxD) - 1.0 - logvar_BxD)


def signal_to_noise(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """mu^2 / sigma^2, the signal-to-noise ratio of the entry; 0 at mu = 0 however small sigma is.

    Examples:
        >>> mu_BxD = jnp.array([[2.0, 0.0]])
        >>> signal_to_noise(mu_BxD, mu_BxD, jnp.log(jnp.full((1, 2), 4.0))).tolist()
        [[1.0, 0.0]]
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    signal_BxD = jnp.square(mu_BxD.astype(jnp.float32))
    precision_BxD = variance(-logvar_BxD.astype(jnp.float32))
    # zero times infinity is zero, whichever of the two is which
    is_out_BxD = (signal_BxD == 0) & jnp.isinf(precision_BxD)
    is_out_BxD |= jnp.isinf(signal_BxD) & (precision_BxD == 0)
    return jnp.where(is_out_BxD, 0, signal_BxD) * jnp.where(is_out_BxD, 0, precision_BxD)


def one_minus_sigma(z_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """1 - sigma, the gate of VAEase: 0 at the prior, 1 for an entry without noise; below 0 for one
    noisier than the prior.

    Examples:
        >>> mu_BxD = jnp.zeros((1, 2))
        >>> one_minus_sigma(mu_BxD, mu_BxD, jnp.log(jnp.array([[0.25, 1.0]]))).tolist()
        [[0.5, 0.0]]

    References:
        "Sparse Autoencoders, Again?", ICML 2025, arXiv 2506.04859.
    """
    check_latent(z=z_BxD, mu=mu_BxD, logvar=logvar_BxD)
    return 1.0 - variance(0.5 * logvar_BxD.astype(jnp.float32))


@jax.custom_jvp
def variance(logvar: Array) -> Array:
    """exp(logvar), whose derivative is at most the largest float: where an overflow counts with
    weight 0, as in padding, its gradient is 0 and not 0 times infinity.

    Examples:
        >>> jax.grad(lambda logvar: 0.0 * variance(logvar))(100.0).item()
        0.0
    """
    return jnp.exp(logvar)


@variance.defjvp
def _variance_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (value,) = map(jnp.exp, primals)
    return value, jnp.minimum(value, jnp.finfo(value.dtype).max) * tangents[0]


SCORES: dict[str, Score] = {
    "abs_z": abs_z,
    "abs_mu": abs_mu,
    "kl": element_kl,
    "signal_to_noise": signal_to_noise,
    "one_minus_sigma": one_minus_sigma,
}
# At inference, where z is the mean, functions of it alone.
OF_MEANS = (abs_z, abs_mu)
