"""Training of the small networks of priors."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

AVERAGE = 0.999  # decay of the running average of the weights
_WARMUP = 0.02  # of the steps
_SEGMENT = 500  # steps of one compiled program


def minimise(
    loss: Callable[[Any, Array, Array], Array],
    params: Any,
    x_NxR: np.ndarray,
    key: Array,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> Any:
    """The running average of the parameters that AdamW has after so many steps.

    Batches are drawn with replacement, as a function of the key and the step. The learning rate
    rises for the first fiftieth of the steps and falls to 0 as a cosine.

    Args:
        loss: (params, x_BxR, key) -> mean over the batch.
        params: the first.
        x_NxR: examples.
        key: typed key of batches and of what the loss draws.
        steps, batch_size, learning_rate: of AdamW, without weight decay.
    """
    warmup = int(_WARMUP * steps)
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b2=0.99))
    data = jnp.asarray(x_NxR)

    def step(carry: tuple, number: Array) -> tuple[tuple, Array]:
        params, average, state = carry
        batch_key, loss_key = jax.random.split(jax.random.fold_in(key, number))
        rows_B = jax.random.randint(batch_key, (batch_size,), 0, len(data))
        value, gradient = jax.value_and_grad(loss)(params, data[rows_B], loss_key)
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        decay = jnp.minimum(AVERAGE, (1.0 + number) / (10.0 + number))
        average = optax.incremental_update(params, average, 1.0 - decay)
        return (params, average, state), value

    @functools.partial(jax.jit, donate_argnums=0)
    def segment(carry: tuple, numbers: Array) -> tuple[tuple, Array]:
        return jax.lax.scan(step, carry, numbers)

    carry = (params, jax.tree.map(jnp.copy, params), optimizer.init(params))
    for start in range(0, steps, _SEGMENT):
        carry, losses = segment(carry, jnp.arange(start, min(start + _SEGMENT, steps)))
        if not start % 1000:
            print(start, float(losses.mean()), flush=True)
    return carry[1]
