"""Codes of independent latents: what systems draw as their own prior, fitted to nothing."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.selection import apply_mask


def sample_prior(key: Array, n: int, frequency_D: Array) -> Array:
    """n codes from N(0, I), each dimension silenced where it is small, to be active as often as it
    is in training.

        z_d 1[|z_d| >= q_d],    z_d ~ N(0, 1),    P(|z_d| >= q_d) = frequency_d

    A selection by size passes the large entries of a dimension, so what it leaves of N(0, 1) are
    its tails. For a mask that all images share, the frequencies are ones and zeros.

    Args:
        key: typed key.
        n: how many codes.
        frequency_D: probability that a dimension is active.

    Examples:
        >>> codes_NxD = sample_prior(jax.random.key(0), 3, jnp.array([1.0, 0.0]))
        >>> (codes_NxD != 0).tolist()
        [[True, False], [True, False], [True, False]]
    """
    z_NxD = jax.random.normal(key, (n, frequency_D.shape[0]), jnp.float32)
    chance_D = 1.0 - 0.5 * jnp.clip(frequency_D, 0.0, 1.0)
    smallest_D = jax.scipy.stats.norm.ppf(chance_D).astype(jnp.float32)
    return apply_mask(z_NxD, jnp.abs(z_NxD) >= smallest_D[None, :])


def sample_normal(key: Array, mean_NxD: Array, std_NxD: Array, frequency_D: Array) -> Array:
    """Codes from N(mean, std^2), each entry silenced where it is small for its distribution, so
    that each dimension is active with its frequency.

        z 1[P(|z'| >= |z|) < frequency],    z, z' ~ N(mean, std^2)

    With a mean of 0 and a deviation of 1 it is `sample_prior`.

    Args:
        key: typed key.
        mean_NxD, std_NxD: of each entry.
        frequency_D: probability that a dimension is active.

    Examples:
        >>> zeros_NxD, ones_NxD = jnp.zeros((3, 2)), jnp.ones((3, 2))
        >>> frequency_D = jnp.array([1.0, 0.0])
        >>> codes_NxD = sample_normal(jax.random.key(0), zeros_NxD, ones_NxD, frequency_D)
        >>> (codes_NxD != 0).tolist()
        [[True, False], [True, False], [True, False]]
    """
    z_NxD = mean_NxD + std_NxD * jax.random.normal(key, mean_NxD.shape, jnp.float32)
    high_NxD, low_NxD = ((sign * jnp.abs(z_NxD) - mean_NxD) / std_NxD for sign in (1, -1))
    larger_NxD = jax.scipy.stats.norm.sf(high_NxD) + jax.scipy.stats.norm.cdf(low_NxD)
    return apply_mask(z_NxD, larger_NxD < frequency_D[None])


def sample_slots(key: Array, n: int, frequency_D: Array, k: int) -> Array:
    """n codes of N(0, 1) entries, of which one in each of k groups of D / k neighbours is not zero.

    Args:
        key: typed key.
        n: how many codes.
        frequency_D: how often each dimension is the one of its group, up to a factor.
        k: how many groups.

    Examples:
        >>> frequency_D = jnp.array([0.0, 1.0, 1.0, 0.0])
        >>> (sample_slots(jax.random.key(0), 2, frequency_D, k=2) != 0).tolist()
        [[False, True, True, False], [False, True, True, False]]
    """
    choice_key, value_key = jax.random.split(key)
    size = frequency_D.shape[0]
    log_KxS = jnp.log(jnp.maximum(frequency_D, 0.0)).reshape(k, -1)
    chosen_NxK = jax.random.categorical(choice_key, log_KxS, shape=(n, k))
    mask_NxKxS = jax.nn.one_hot(chosen_NxK, size // k, dtype=jnp.float32)
    values_NxD = jax.random.normal(value_key, (n, size), jnp.float32)
    return apply_mask(values_NxD, mask_NxKxS.reshape(n, size))


def sample_spike_and_slab(
    key: Array, rate_NxD: Array, mu_NxD: ArrayLike = 0.0, std_NxD: ArrayLike = 1.0
) -> Array:
    """Codes whose entries are N(mu, std^2) with probability `rate` and exact zeros otherwise.

    Examples:
        >>> sample_spike_and_slab(jax.random.key(0), jnp.array([[0.0, 1.0]]), 3.0, 0.0).tolist()
        [[0.0, 3.0]]
    """
    gate_key, eps_key = jax.random.split(key)
    active_NxD = jnp.asarray(jax.random.bernoulli(gate_key, rate_NxD))
    slab_NxD = jnp.asarray(
        mu_NxD + std_NxD * jax.random.normal(eps_key, rate_NxD.shape, jnp.float32)
    )
    return apply_mask(slab_NxD, active_NxD)
