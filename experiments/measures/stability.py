"""The paper's core claim, measured: the EMA's mask does not depend on the test batch.

For test batches of n images: the Jaccard index of the EMA's mask and the mask that the batch would
choose in training, from samples of its posterior; and how far one image's reconstruction moves when
its batch mates change, with either mask. Reconstructions decode posterior means, so there the
batch's own mask rests on the means too.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column, Direction
from experiments.study.keys import study_key
from experiments.study.planned import Measurement, Planned
from experiments.study.study import Study, Trained
from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import psnr

BATCH_SIZES = (1, 8, 64, 128, 512)
_STATISTICS = ("ema", "batch")  # by which the latents are chosen


def _by_selection(
    metric: str, decimals: int, better: Direction, unit: str = ""
) -> tuple[Column, ...]:
    return tuple(
        Column(f"{metric}_{selection}_{n}", f"{title}, batch of {n}", decimals, better, unit)
        for n in (8, 64, 512)
        for selection, title in (("batch", "own mask"), ("ema", "EMA mask"))
    )


LAYOUT = Experiment(
    "stability",
    "Stability of the selection",
    "How far the selection, and so an image's reconstruction, depends on the images that "
    "share its batch: with the mask that a test batch chooses for itself, and with the mask "
    "that the running average (EMA) of training chooses.",
    (),
    further={
        "overlap of the batch's own mask with the EMA mask": tuple(
            Column(f"jaccard_{n}", f"batch of {n}", 3, "higher") for n in BATCH_SIZES
        ),
        "largest change of a pixel when the batch mates change": _by_selection("shift", 4, "lower"),
        "PSNR": _by_selection("psnr", 2, "higher", "dB"),
    },
)


def plan_stability(study: Study, variant: str, title: str, config: Config) -> Planned:
    """The stability row of one Top-K model."""

    def measure(trained: Trained) -> Measurement:
        of_batch = _compile(trained.inference)
        rng = np.random.default_rng(config.seed)
        metrics: dict[str, float] = {}
        for size in BATCH_SIZES:
            if size <= len(study.test_images):
                metrics |= _of_size(study, of_batch, config.seed, size, rng)
        return Measurement(metrics)

    batches = study.budget.stability_batches
    return study.plan_trained(
        LAYOUT.name, variant, title, config, measure, cost=0.4, batches=batches
    )


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """|a and b| / |a or b| of two masks; 1 where both are empty.

    Examples:
        >>> jaccard(np.array([1, 1, 0]), np.array([1, 0, 1])) == 1 / 3
        True
    """
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    union = np.sum(a | b)
    return float(np.sum(a & b) / union) if union else 1.0


class _OfBatch(NamedTuple):
    """What a batch gives under the running statistics, and under its own choice.

    Attributes:
        images_2xBxHxWxC: reconstructions, "ema" before "batch".
        active_2xBxD: which latents are active in samples of the posterior.
    """

    images_2xBxHxWxC: jax.Array
    active_2xBxD: jax.Array


def _compile(inference: Inference) -> Callable[[np.ndarray, jax.Array], _OfBatch]:
    """A batch and a key -> what it gives; one program for each size."""

    def apply(*args: Any, **options: Any) -> jax.Array:
        """The output alone: a batch that chooses for itself would update the statistics too."""
        output, _ = inference.model.apply(
            inference.variables, *args, mutable=["batch_stats"], **options
        )
        return output

    @jax.jit
    def of_batch(x: jax.Array, key: jax.Array) -> _OfBatch:
        encode = functools.partial(apply, x, sample=True, method="encode", rngs={"latent": key})
        images = [apply(x, use_running_average=running) for running in (True, False)]
        codes = [encode(use_running_average=running) for running in (True, False)]
        return _OfBatch(jnp.stack(images), jnp.stack(codes) != 0)

    return of_batch


def _of_size(
    study: Study,
    of_batch: Callable[[np.ndarray, jax.Array], _OfBatch],
    seed: int,
    size: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Metrics for batches of one size; test image 0 is in all of them, but alone only once."""
    images = study.test_images
    overlaps: list[float] = []
    firsts: dict[str, list[np.ndarray]] = {name: [] for name in _STATISTICS}
    psnrs: dict[str, list[float]] = {name: [] for name in _STATISTICS}
    for draw in range(study.budget.stability_batches):
        mates = 1 + rng.choice(len(images) - 1, size - 1, replace=False)
        x = images[draw : draw + 1] if size == 1 else images[np.append(0, mates)]
        key = jax.random.fold_in(study_key(seed, "mask"), draw)
        images_2xBxHxWxC, active_2xBxD = map(np.asarray, of_batch(x, key))
        overlaps.append(jaccard(*active_2xBxD))
        for name, reconstructed in zip(_STATISTICS, images_2xBxHxWxC, strict=True):
            firsts[name].append(reconstructed[0])
            psnrs[name].append(float(np.mean(psnr(reconstructed, x))))
    metrics = {f"jaccard_{size}": float(np.mean(overlaps))}
    if size > 1:
        for name in _STATISTICS:
            metrics[f"shift_{name}_{size}"] = float(np.max(np.ptp(firsts[name], axis=0)))
            metrics[f"psnr_{name}_{size}"] = float(np.mean(psnrs[name]))
    return metrics
