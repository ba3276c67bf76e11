"""Leading axes as one batch: every token of a sequence, or position of a map, is an example."""

from jax import Array


def fold(x_BxD: Array) -> Array:
    """(..., D) as (B, D), in the order of the leading axes; (B, D) is left as it is.

    Examples:
        >>> import jax.numpy as jnp
        >>> fold(jnp.ones((2, 7, 7, 3))).shape, fold(jnp.ones(3)).shape
        ((98, 3), (1, 3))
    """
    return x_BxD if x_BxD.ndim == 2 else x_BxD.reshape(-1, x_BxD.shape[-1])


def fold_valid(valid_B: Array | None) -> Array | None:
    """The marks of the real examples as (B,); None stays None.

    Examples:
        >>> import jax.numpy as jnp
        >>> fold_valid(jnp.ones((2, 7))).shape
        (14,)
    """
    return valid_B if valid_B is None or valid_B.ndim == 1 else valid_B.reshape(-1)
