"""The matrix products of a training step, and what they cost without anything between them."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_topk_jax.config import Config

Operands = Sequence[tuple[Array, ...]]


class Product(NamedTuple):
    """a_MxN @ b_NxO, as the operands lie in memory.

    Attributes:
        formula: of `jnp.einsum`.
        shapes: of the two operands.
        flops: 2 M N O.
    """

    formula: str
    shapes: tuple[tuple[int, int], tuple[int, int]]
    flops: int


def products_of(config: Config, image_shape: Sequence[int]) -> list[Product]:
    """Every product of one step of an MLP's training: each layer's forward one, the gradient of its
    kernel, and, but for the first layer, that of its input.

    Examples:
        >>> config = Config(model="beta_vae", latent_dim=2, widths=(5,), batch_size=3)
        >>> products = products_of(config, (2, 2, 1))
        >>> len(products), sum(product.flops for product in products)
        (14, 1140)
    """
    pixels = math.prod(image_shape)
    body = [pixels, *config.widths]
    layers = list(itertools.pairwise(body))
    layers += 2 * [(config.widths[-1], config.latent_dim)]
    back = [config.latent_dim, *reversed(config.widths), pixels]
    layers += list(itertools.pairwise(back))
    batch = config.batch_size
    products = []
    for number, (inputs, outputs) in enumerate(layers):
        x, kernel, y = (batch, inputs), (inputs, outputs), (batch, outputs)
        flops = 2 * batch * inputs * outputs
        products.append(Product("bi,io->bo", (x, kernel), flops))
        products.append(Product("bi,bo->io", (x, y), flops))
        if number:
            products.append(Product("bo,io->bi", (y, kernel), flops))
    return products


def products_alone(
    products: Sequence[Product], steps: int, dtype: str = "float32"
) -> Callable[[], object]:
    """So many steps of these products, as one compiled program that does nothing else."""
    keys = iter(jax.random.split(jax.random.key(0), 2 * len(products)))
    operands = [
        tuple(jax.random.normal(next(keys), shape, dtype) for shape in product.shapes)
        for product in products
    ]

    def multiply(operands: Operands) -> list[Array]:
        return [
            jnp.einsum(product.formula, *pair)
            for product, pair in zip(products, operands, strict=True)
        ]

    @jax.jit
    def run(operands: Operands) -> list[Array]:
        def step(carry: tuple[Operands, list[Array]], _: None) -> tuple[Any, None]:
            # One entry of each product is new, or the compiler would make one step of all.
            operands = [
                (a_MxN.at[0, 0].set(jnp.tanh(result[0, 0])), b_NxO)
                for (a_MxN, b_NxO), result in zip(*carry, strict=True)
            ]
            return (operands, multiply(operands)), None

        return jax.lax.scan(step, (operands, multiply(operands)), None, steps - 1)[0][1]

    return functools.partial(run, operands)


def square(size: int) -> Product:
    """The product of two square matrices."""
    return Product("bi,io->bo", ((size, size), (size, size)), 2 * size**3)
