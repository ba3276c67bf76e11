"""Directions of features: unit vectors, more of them than dimensions, as orthogonal as they get."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_topk_jax.vectors import unit_rows

ROWS = 1024  # of the products between directions that are held at once


def random_directions(key: Array, features: int, inputs: int) -> Array:
    """directions_GxF, uniform on the unit sphere.

    Examples:
        >>> random_directions(jax.random.key(0), 3, 2).shape
        (3, 2)
    """
    return unit_rows(jax.random.normal(key, (features, inputs), jnp.float32))


def orthogonalise(directions_GxF: Array, steps: int, learning_rate: float) -> Array:
    """The directions after some steps of Adam that drive their products apart.

        loss = sum over i != j of (d_i . d_j)^2  +  G sum over i of (d_i . d_i - 1)^2

    and a division by the length of each at the end. At most 1,024 G products are held at once.

    Args:
        directions_GxF: the directions before.
        steps: how many; 0 leaves the directions as they are, but for their length.
        learning_rate: of Adam.

    Examples:
        >>> before = random_directions(jax.random.key(0), 8, 6)
        >>> after = orthogonalise(before, steps=100, learning_rate=0.01)
        >>> superposition(after) < superposition(before)
        Array(True, dtype=bool)

    References:
        Chanin & Garriga-Alonso, "SynthSAEBench", arXiv 2602.14687.
    """
    adam = optax.adam(learning_rate)
    directions_GxF = unit_rows(directions_GxF)

    def step(_: Array, held: tuple[Array, optax.OptState]) -> tuple[Array, optax.OptState]:
        directions_GxF, state = held
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to integer step counts
            updates, state = adam.update(_gradient(directions_GxF), state)
        return directions_GxF + updates, state

    start = (directions_GxF, adam.init(directions_GxF))
    return unit_rows(jax.lax.fori_loop(0, steps, step, start)[0])


def superposition(directions_GxF: Array) -> Array:
    """() the mean over features of the largest |cosine| with another one.

    0 for orthogonal directions; a single one has no other, and -inf.

    Examples:
        >>> superposition(jnp.array([[1.0, 0.0], [0.0, 2.0]])).item()
        0.0
    """
    unit_GxF = unit_rows(directions_GxF)

    def largest(numbered: tuple[Array, Array]) -> Array:
        direction_F, index = numbered
        return jnp.max(jnp.abs(unit_GxF @ direction_F).at[index].set(-jnp.inf))

    numbers_G = jnp.arange(len(unit_GxF), dtype=jnp.int32)
    return jnp.mean(
        jax.lax.map(largest, (unit_GxF, numbers_G), batch_size=min(ROWS, len(unit_GxF)))
    )


def _gradient(directions_GxF: Array) -> Array:
    features = len(directions_GxF)

    def of_one(numbered: tuple[Array, Array]) -> Array:
        direction_F, index = numbered
        products_G = directions_GxF @ direction_F
        off_length = features * (products_G[index] - 1.0)
        return 4.0 * (products_G.at[index].set(off_length) @ directions_GxF)

    numbers_G = jnp.arange(features, dtype=jnp.int32)
    return jax.lax.map(of_one, (directions_GxF, numbers_G), batch_size=min(ROWS, features))
