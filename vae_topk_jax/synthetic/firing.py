"""How often features fire, and which of them fire together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

LEAST_OWN = 0.01  # of the variance of a feature that it shares with no other


def zipf_probabilities(features: int, exponent: float, most: float, least: float) -> Array:
    """probability_G, falling from the first feature to the last as a power of the rank.

        p_g = least + (most - least) (g^-exponent - G^-exponent) / (1 - G^-exponent),   g = 1 ... G

    Examples:
        >>> zipf_probabilities(3, 1.0, most=1.0, least=0.25).tolist()
        [1.0, 0.4375, 0.25]
    """
    rank_G = jnp.arange(1, features + 1, dtype=jnp.float32)
    power_G = rank_G**-exponent
    fallen_G = (power_G - power_G[-1]) / (power_G[0] - power_G[-1]) if features > 1 else power_G
    return least + (most - least) * fallen_G


class Correlation(NamedTuple):
    """Correlations of rank R: factor factor^T + diag(own^2), of which the diagonal is 1.

    Attributes:
        factor_GxR: what features share.
        own_G: the standard deviation that each has for itself.
    """

    factor_GxR: Array
    own_G: Array


def low_rank_correlation(key: Array, features: int, rank: int, scale: float) -> Correlation:
    """Random correlations: the factor's entries are N(0, scale^2).

    A feature whose row would leave it less than 0.01 of its variance has its row shortened.

    Examples:
        >>> factor, own = low_rank_correlation(jax.random.key(0), 5, rank=2, scale=0.1)
        >>> bool(jnp.allclose((factor**2).sum(axis=1) + own**2, 1.0))
        True
    """
    factor_GxR = scale * jax.random.normal(key, (features, rank), jnp.float32)
    shared_G = jnp.sum(jnp.square(factor_GxR), axis=1)
    allowed_G = jnp.minimum(shared_G, 1.0 - LEAST_OWN)
    shrink_G = jnp.sqrt(allowed_G / jnp.maximum(shared_G, 1e-30))
    return Correlation(factor_GxR * shrink_G[:, None], jnp.sqrt(1.0 - allowed_G))


def firing_uniforms(
    key: Array, probability_G: Array, correlation: Correlation, size: int
) -> tuple[Array, Array]:
    """Which features fire in each example, and a number that is uniform on (0, 1) where one does.

    A Gaussian copula: feature g fires where factor_g . e + own_g n_g exceeds the quantile of its
    probability, with e (shared by all) and n standard normal. Of n only the side of the threshold
    is drawn, u < P(fires | e) for a uniform u; where that holds, u / P is uniform again.

    Args:
        key: typed key.
        probability_G: how often each fires.
        correlation: of the normal variables.
        size: B, how many examples.

    Returns:
        fires_BxG, bool, and uniform_BxG, which is 1 or more where the feature does not fire.

    Examples:
        >>> correlation = low_rank_correlation(jax.random.key(0), 3, rank=1, scale=0.0)
        >>> probabilities = jnp.array([0.0, 0.5, 1.0])
        >>> fires, _ = firing_uniforms(jax.random.key(1), probabilities, correlation, 1000)
        >>> fires.mean(axis=0).round(1).tolist()
        [0.0, 0.5, 1.0]
    """
    shared_key, own_key = jax.random.split(key)
    features, rank = correlation.factor_GxR.shape
    threshold_G = -jax.scipy.special.ndtri(probability_G)
    shared_BxR = jax.random.normal(shared_key, (size, rank), jnp.float32)
    above_BxG = shared_BxR @ correlation.factor_GxR.T - threshold_G[None, :]
    chance_BxG = jax.scipy.special.ndtr(above_BxG / correlation.own_G[None, :])
    # multiples of 2^-23, moved by half of one: never 0, so that nothing of probability 0 fires
    draw_BxG = jax.random.uniform(own_key, (size, features), jnp.float32) + 2.0**-24
    return draw_BxG < chance_BxG, draw_BxG / jnp.maximum(chance_BxG, 1e-30)
