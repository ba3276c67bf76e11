"""One small run: its configuration, its trainer, its bits, its model without training."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_topk_jax.checkpoint import RunInfo
from vae_topk_jax.config import Config
from vae_topk_jax.data import Dataset
from vae_topk_jax.inference import Inference
from vae_topk_jax.training import Trainer

SMALL = Config(
    selection="dimension",
    sensitivity_every=0,
    latent_dim=8,
    k=2,
    widths=(32,),
    batch_size=64,
    epochs=3,
)
# Fields that a system needs besides.
BESIDES: dict[str, dict[str, Any]] = {"ladder_vae": {"levels": (3, 5), "level_k": (1, 2)}}
# The same kind of run as flags of `experiments.train`.
SIZES = ["--latent-dim", "8", "--k", "2", "--batch-size", "64", "--epochs", "3"]
FLAGS = ["--widths", "16", *SIZES]


def trainer_of(dataset: Dataset, config: Config) -> Trainer:
    return Trainer(config, dataset.image_shape, len(dataset.train_images))


def bits(tree) -> list[bytes]:
    """The bits of every leaf, random keys among them."""
    is_key = functools.partial(jax.dtypes.issubdtype, b=jax.dtypes.prng_key)
    data = jax.tree.map(lambda x: jax.random.key_data(x) if is_key(x.dtype) else x, tree)
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(data)]


def untrained(blobs, **changes) -> Inference:
    """A model with random weights and mask, as if its running average had seen a batch."""
    info = RunInfo(SMALL.replace(**changes), blobs.image_shape, blobs.describe())

    def fill(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.ones_like(leaf)
        return jax.random.uniform(jax.random.key(len(name)), leaf.shape) if leaf.shape else leaf

    state = info.trainer.init()
    stats = jax.tree_util.tree_map_with_path(fill, state.batch_stats)
    return Inference(dataclasses.replace(state, batch_stats=stats), info)
