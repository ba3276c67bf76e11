"""Sets of vectors: their lengths and their middle."""

import jax
import jax.numpy as jnp
from jax import Array

MEDIAN_STEPS = 100


def unit_rows(w_DxF: Array) -> Array:
    """The rows scaled to length 1; a row of zeros stays one.

    Examples:
        >>> unit_rows(jnp.array([[0.0, 2.0], [0.0, 0.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """
    length_Dx1 = jnp.linalg.norm(w_DxF, axis=1, keepdims=True)
    return w_DxF / jnp.where(length_Dx1 > 0, length_Dx1, 1.0)


@jax.jit
def geometric_median(x_NxF: Array) -> Array:
    """The point with the smallest sum of distances to the rows, by Weiszfeld's iteration.

    Examples:
        >>> x_NxF = jnp.array([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [0.0, -1.0], [-9.0, 0.0]])
        >>> jnp.abs(geometric_median(x_NxF)).max().item() < 1e-3
        True

    References:
        Weiszfeld & Plastria, "On the point for which the sum of the distances to n given points is
        minimum", 2009.
    """

    def closer(_: Array, guess_F: Array) -> Array:
        distance_N = jnp.linalg.norm(x_NxF - guess_F[None, :], axis=1)
        weight_N = 1.0 / jnp.maximum(distance_N, 1e-6)
        return weight_N @ x_NxF / jnp.sum(weight_N)

    return jax.lax.fori_loop(0, MEDIAN_STEPS, closer, jnp.mean(x_NxF, axis=0))
