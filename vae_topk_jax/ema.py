"""The running average of the importance that chooses the dimensions at inference."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from vae_topk_jax.checks import check_number, check_shape


def update_ema(ema: Array, value: Array, count: ArrayLike, decay: float) -> Array:
    """One update of an exponential moving average that starts as a plain mean.

    With t = `count` earlier updates,

        ema' = d_t ema + (1 - d_t) value,    d_t = min(decay, t / (t + 1)),

    so the first value replaces the initial one whatever that was, the average is the plain mean
    until t reaches decay / (1 - decay), and exponential from there on. It is at every moment a
    weighted mean of the values seen: no debiasing is owed when it is read.

    Args:
        ema: the average so far, float32, any shape.
        value: the new observation, same shape.
        count: how many observations `ema` holds, a scalar.
        decay: the limit of d_t, in [0, 1).

    Returns:
        The new average, float32.

    Raises:
        ValueError: `decay` outside [0, 1), shapes that differ, or `count` below 0 (not known while
            tracing).

    Examples:
        >>> ema = jnp.zeros(2)
        >>> for count, value in enumerate([jnp.array([2.0, 0.0]), jnp.array([4.0, 1.0])]):
        ...     ema = update_ema(ema, value, count, decay=0.9)
        >>> ema.tolist()
        [3.0, 0.5]
    """
    if not 0.0 <= decay < 1.0:
        raise ValueError(f"decay must lie in [0, 1), got {decay}")
    check_shape("value", value, "ema", jnp.shape(ema))
    check_number("count", count, 0)
    count = jnp.asarray(count, jnp.float32)
    d = jnp.minimum(jnp.float32(decay), count / (count + 1.0))
    ema, value = ema.astype(jnp.float32), value.astype(jnp.float32)
    return jnp.where(d > 0, d * ema + (1.0 - d) * value, value)
