"""The BatchTopK trainer of dictionary_learning."""

from collections.abc import Callable

import numpy as np

from experiments.bench.peers.pytorch import allow_tf32
from vae_topk_jax.config import Config

MODULE = "dictionary_learning"


def start(config: Config, x_BxF: np.ndarray, steps: int) -> Callable[[], float]:
    """One more step on the same batch at every call; the loss.

    Args:
        config: of a "batch_topk_sae"; its products are of `compute_dtype`.
        x_BxF: the batch.
        steps: for which the run is planned.
    """
    import torch
    from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer

    allow_tf32()
    trainer = BatchTopKTrainer(
        steps=steps,
        activation_dim=x_BxF.shape[1],
        dict_size=config.latent_dim,
        k=config.k,
        layer=0,
        lm_name="",
        lr=config.learning_rate,
        seed=config.seed,
    )
    x = torch.from_numpy(x_BxF).to(trainer.device)
    is_half = config.compute_dtype == "bfloat16"

    def step() -> float:
        with torch.autocast(trainer.device, torch.bfloat16, enabled=is_half):
            return trainer.update(1, x)  # at step 0 it looks for the median

    return step
