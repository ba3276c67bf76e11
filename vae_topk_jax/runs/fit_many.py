"""One call from an array to several trained models."""

import itertools
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from vae_topk_jax.config import Config
from vae_topk_jax.data.rows import Rows
from vae_topk_jax.group import TrainerGroup
from vae_topk_jax.inference import Inference
from vae_topk_jax.runs.inputs import Trainable, as_inputs
from vae_topk_jax.runs.progress import show
from vae_topk_jax.training_inputs import labels_of


def fit_many(
    images: Trainable,
    configs: Config | Sequence[Config] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    labels: ArrayLike | None = None,
    progress: bool = True,
    patience: int = 100,
    mesh: Mesh | None = None,
    source: str | None = None,
) -> list[Inference]:
    """Trains several models of the same images side by side, as one program that is compiled once.

    They differ in their seeds, or in what a sweep varies: `vae_topk_jax.group.MAY_DIFFER`. On one
    accelerator all of them are one batch of states, and each ends within float32 rounding of what
    `fit` gives for its configuration alone. On CPUs they are trained one after the other, with the
    bits of `fit`. Over a mesh every device trains models of its own and sends nothing.

    Args:
        images: as for `fit`, but so many as fit into the memory.
        configs: one configuration or several; None: `Config()`.
        seeds: each configuration is trained with each of them; None: with its own.
        labels: as for `fit`.
        progress: show a progress bar.
        patience: how many steps in a row of one model may be skipped because they are not finite.
        mesh: devices that share out the models, from `sharding.make_mesh`; None: one device.
        source: where an array comes from, for the checkpoints and the model card.

    Returns:
        The trained models, on one device: those of the first configuration, seed by seed, then
        those of the next.

    Raises:
        ValueError: images or labels that the model does not take, images that do not fit into the
            memory; no seeds; configurations that differ in another field; more models than there
            is memory for.
        NonFiniteError: `patience` steps in a row of one model were not finite.

    Examples:
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), np.uint8)
        >>> config = Config(latent_dim=8, k=2, widths=(16,), batch_size=32, epochs=1)
        >>> models = fit_many(images, config, seeds=range(3), progress=False)
        >>> [model.config.seed for model in models]
        [0, 1, 2]
    """
    if patience < 1:
        raise ValueError(f"patience must be at least 1, got {patience}")
    configs = Config() if configs is None else configs
    given = [configs] if isinstance(configs, Config) else configs
    if seeds is not None:
        if not len(seeds):
            raise ValueError("seeds must be one at least, got none")
        given = [config.replace(seed=seed) for config, seed in itertools.product(given, seeds)]
    inputs = as_inputs(images, None, source, labels)
    if isinstance(inputs.train, Rows):
        raise ValueError(
            f"images must fit into the memory to train several models of them, "
            f"got {inputs.train.nbytes / 1e9:.3g} GB: train one at a time with `fit`"
        )
    group = TrainerGroup(tuple(given), inputs.train.shape[1:], len(inputs.train), mesh)
    if inputs.train.dtype == np.float32:
        group.trainer.check_values(inputs.train)
    is_told = bool(labels_of(group.trainer.config))
    turns = group.epochs(inputs.train, patience, inputs.train_labels if is_told else labels)
    if progress:
        title = f"{len(given)} x {group.trainer.config.model}"
        turns = show(turns, group.trainer, title, runs=len(given))
    for turn in turns:
        state = turn.state
    states = group.unstack(state)
    return [
        Inference(state, inputs.info(config), copy=False)
        for state, config in zip(states, given, strict=True)
    ]
