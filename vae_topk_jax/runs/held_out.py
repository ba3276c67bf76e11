"""The loss terms of images that are not trained on, after each epoch."""

from collections.abc import Iterable, Iterator

import numpy as np

from vae_topk_jax.condition import of_chunk
from vae_topk_jax.steps import TrainState
from vae_topk_jax.training import EpochResult, Trainer


def with_held_out(
    turns: Iterable[EpochResult],
    trainer: Trainer,
    images_NxHxWxC: np.ndarray,
    label_N: np.ndarray | None = None,
) -> Iterator[EpochResult]:
    """The turns; those at the end of an epoch with the terms of `held_out_terms` as `test_...`.

    Args:
        turns: of the trainer.
        trainer: the trainer.
        images_NxHxWxC: float32, in the range of the model.
        label_N: their classes, for a model with `classes`.
    """
    for turn in turns:
        terms = {}
        if int(turn.state.step) % trainer.steps_per_epoch == 0:
            terms = held_out_terms(trainer, turn.state, images_NxHxWxC, label_N)
        yield turn._replace(terms=turn.terms | {f"test_{name}": x for name, x in terms.items()})


def held_out_terms(
    trainer: Trainer,
    state: TrainState,
    images_NxHxWxC: np.ndarray,
    label_N: np.ndarray | None = None,
) -> dict[str, float]:
    """Mean of each loss term at inference, over all images."""
    total = len(images_NxHxWxC)
    size = min(trainer.config.batch_size, total)
    means: dict[str, float] = {}
    for start in range(0, total, size):
        chunk = images_NxHxWxC[start : start + size]
        padding = [(0, size - len(chunk)), *[(0, 0)] * (chunk.ndim - 1)]
        valid_B, label_B = np.arange(size) < len(chunk), of_chunk(label_N, start, size)
        terms = trainer.eval_step(state, np.pad(chunk, padding), valid_B, label_B)
        for name, value in terms.items():
            means[name] = means.get(name, 0.0) + float(value) * len(chunk) / total
    return means
