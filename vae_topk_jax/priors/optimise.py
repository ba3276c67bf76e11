"""Training of the small networks of priors."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

AVERAGE = 0.999  # decay of the running average of the weights
_WARMUP = 0.02  # of the steps
_SEGMENT = 500  # steps of one compiled program


def minimise(
    loss: Callable[[Any, Any, Array], Array],
    params: Any,
    examples: Any,
    key: Array,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> Any:
    """The running average of the parameters that Adam has after so many steps.

    Batches are drawn with replacement, as a function of the key and the step. The learning rate
    rises for the first fiftieth of the steps and falls to 0 as a cosine.

    Args:
        loss: (params, batch, key) -> mean over the batch.
        params: the first.
        examples: an array with an axis of examples, or several of them as a tree.
        key: typed key of batches and of what the loss draws.
        steps, batch_size, learning_rate: of Adam.
    """
    warmup = int(_WARMUP * steps)
    rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, warmup, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b2=0.99))
    data = jax.tree.map(jnp.asarray, examples)
    size = len(jax.tree.leaves(data)[0])

    def step(carry: tuple, number: Array) -> tuple[tuple, None]:
        params, average, state = carry
        batch_key, loss_key = jax.random.split(jax.random.fold_in(key, number))
        rows_B = jax.random.randint(batch_key, (batch_size,), 0, size, jnp.int32)
        batch = jax.tree.map(lambda leaf: leaf[rows_B], data)
        gradient = jax.grad(loss)(params, batch, loss_key)
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer step counts
            update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        seen = number.astype(jnp.float32)
        decay = jnp.minimum(AVERAGE, (1.0 + seen) / (10.0 + seen))
        average = optax.incremental_update(params, average, 1.0 - decay)
        return (params, average, state), None

    @functools.partial(jax.jit, donate_argnums=0)
    def segment(carry: tuple, numbers: Array) -> tuple:
        return jax.lax.scan(step, carry, numbers)[0]

    carry = (params, jax.tree.map(jnp.copy, params), optimizer.init(params))
    for start in range(0, steps, _SEGMENT):
        carry = segment(carry, jnp.arange(start, min(start + _SEGMENT, steps), dtype=jnp.int32))
    return carry[1]
