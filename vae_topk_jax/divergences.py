"""Kullback-Leibler divergences entry by entry, in nats and float32, to their last digits near zero.

The formulas as they stand are small differences of numbers near 1 there: an absolute error of about
1e-7, whatever the value. Near zero a series gives the value instead. The gradient is that of the
formula everywhere: it has the digits that gradient descent needs, and training does not depend on
which of the two gave the value.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.scores import element_kl

# how near to zero a series is summed, and its coefficients from x^2 on
_NEAR = 0.125
_EXP = [1 / math.factorial(n) for n in range(2, 8)]  # exp(x) - 1 - x
_X_LOG = [(-1) ** n / (n * (n - 1)) for n in range(2, 10)]  # (1 + x) log(1 + x) - x


def normal_kl(mu_BxD: Array, logvar_BxD: Array) -> Array:
    """KL(N(mu, exp(logvar)) || N(0, 1)).

    Examples:
        >>> round(normal_kl(jnp.array([[2e-4]]), jnp.zeros((1, 1))).item(), 12)
        2e-08
    """
    plain_BxD = element_kl(mu_BxD, mu_BxD, logvar_BxD)
    mu_BxD, logvar_BxD = mu_BxD.astype(jnp.float32), logvar_BxD.astype(jnp.float32)
    is_near_BxD = (jnp.abs(mu_BxD) < _NEAR) & (jnp.abs(logvar_BxD) < _NEAR)
    series_BxD = 0.5 * (jnp.square(mu_BxD) + _by_series(_EXP, logvar_BxD))
    return _near_zero(is_near_BxD, series_BxD, plain_BxD)


def weighted_kl(weight_BxD: Array, mu_BxD: Array, logvar_BxD: Array) -> Array:
    """The weight times `normal_kl`; 0 where the weight is 0, whatever the posterior is there.

    Examples:
        >>> weight_BxD, mu_BxD = jnp.array([[1.0, 0.0]]), jnp.array([[2.0, jnp.nan]])
        >>> weighted_kl(weight_BxD, mu_BxD, jnp.array([[0.0, 100.0]])).tolist()
        [[2.0, 0.0]]
    """
    overflows_BxD = ~jnp.isfinite(element_kl(mu_BxD, mu_BxD, logvar_BxD))
    is_out_BxD = (weight_BxD == 0) & overflows_BxD
    return weight_BxD * normal_kl(_without(is_out_BxD, mu_BxD), _without(is_out_BxD, logvar_BxD))


def bernoulli_kl(gate_BxD: Array, rate: float | Array, exact: bool = True) -> Array:
    """KL(Bernoulli(gate) || Bernoulli(rate)), with a gradient that is finite at 0 and 1.

    Args:
        gate_BxD: in [0, 1].
        rate: in (0, 1).
        exact: False: the formula as it stands.

    Examples:
        >>> [round(kl, 3) for kl in bernoulli_kl(jnp.array([[0.25, 1.0]]), 0.25)[0].tolist()]
        [0.0, 1.386]
    """
    plain_BxD = _x_log(gate_BxD, rate) + _x_log(1.0 - gate_BxD, 1.0 - rate)
    if not exact:
        return plain_BxD
    up_BxD, down_BxD = (gate_BxD - rate) / rate, (rate - gate_BxD) / (1.0 - rate)
    is_near_BxD = (jnp.abs(up_BxD) < _NEAR) & (jnp.abs(down_BxD) < _NEAR)
    series_BxD = rate * _by_series(_X_LOG, up_BxD) + (1.0 - rate) * _by_series(_X_LOG, down_BxD)
    return _near_zero(is_near_BxD, series_BxD, plain_BxD)


# Two choices that differentiation does not see, so that the compiled gradients of training are
# those of the bare formulas, to the bit. What `_without` takes out has a weight, and so a slope, of
# zero.
@jax.custom_jvp
def _near_zero(is_near: Array, series: Array, plain: Array) -> Array:
    return jnp.where(is_near, series, plain)


@_near_zero.defjvp
def _near_zero_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return _near_zero(*primals), tangents[-1]


@jax.custom_jvp
def _without(is_out: Array, x: Array) -> Array:
    return jnp.where(is_out, 0, x)


@_without.defjvp
def _without_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return _without(*primals), tangents[-1]


def _by_series(coefficients: Sequence[float], x: Array) -> Array:
    """x^2 (c_0 + c_1 x + c_2 x^2 + ...)."""
    factor = jnp.zeros_like(x)
    for coefficient in reversed(coefficients):
        factor = factor * x + coefficient
    return jnp.square(x) * factor


def _x_log(x: Array, y: float | Array) -> Array:
    """x log(x / y), 0 at 0 with a gradient that is finite there."""
    return x * jnp.log(jnp.maximum(x, 1e-6) / y)
