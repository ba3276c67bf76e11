"""A small body that every system can have, and its loss outside of a trainer."""

import jax

SHAPE = (10, 9, 1)
MLP = {"image_shape": SHAPE, "latent_dim": 6, "widths": (16, 8)}
SUMS = {"pixel_reduction": "sum", "latent_reduction": "sum"}


def loss(model, variables, x, valid=None, **options):
    return model.apply(
        variables,
        x,
        x,
        valid,
        **({"train": True} | options),
        method="loss",
        rngs={"latent": jax.random.key(2)},
        mutable=["batch_stats"],
    )
