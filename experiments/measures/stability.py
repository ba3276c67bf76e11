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
import numpy as np

from experiments.reporting.layout import Experiment
from experiments.reporting.tables import Column, Direction
from experiments.study.keys import study_key
from experiments.study.study import Measurement, Study, Trained
from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import psnr

BATCH_SIZES = (1, 8, 64, 128, 512)


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


def measure_stability(study: Study, variant: str, title: str, config: Config) -> None:
    """Adds the stability row of one Top-K model."""

    def measure(trained: Trained) -> Measurement:
        compiled = _compile(trained.inference)
        rng = np.random.default_rng(config.seed)
        metrics: dict[str, float] = {}
        for size in BATCH_SIZES:
            if size <= len(study.test_images):
                metrics |= _of_size(study, compiled, config.seed, size, rng)
        return Measurement(metrics)

    batches = study.budget.stability_batches
    study.measure_trained(LAYOUT.name, variant, title, config, measure, batches=batches)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """|a and b| / |a or b| of two masks; 1 where both are empty.

    Examples:
        >>> jaccard(np.array([1, 1, 0]), np.array([1, 0, 1])) == 1 / 3
        True
    """
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    union = np.sum(a | b)
    return float(np.sum(a & b) / union) if union else 1.0


class _Compiled(NamedTuple):
    """Functions of a batch, under the running statistics ("ema") and under its own choice."""

    reconstruct: dict[str, Callable[[np.ndarray], jax.Array]]
    active: dict[str, Callable[[np.ndarray, jax.Array], jax.Array]]


def _compile(inference: Inference) -> _Compiled:
    def apply(x: np.ndarray, *, use_running_average: bool, **options: Any) -> jax.Array:
        # A batch that chooses for itself updates the statistics, which are left out here.
        call: Callable[..., Any] = inference.model.apply
        given = {"use_running_average": use_running_average, **options}
        return call(inference.variables, x, mutable=["batch_stats"], **given)[0]

    def reconstruct(running: bool) -> Callable[[np.ndarray], jax.Array]:
        return jax.jit(lambda x: apply(x, use_running_average=running))

    def active(running: bool) -> Callable[[np.ndarray, jax.Array], jax.Array]:
        encode = functools.partial(apply, sample=True, use_running_average=running, method="encode")
        return jax.jit(lambda x, key: encode(x, rngs={"latent": key}) != 0)

    return _Compiled(
        {"ema": reconstruct(True), "batch": reconstruct(False)},
        {"ema": active(True), "batch": active(False)},
    )


def _of_size(
    study: Study, compiled: _Compiled, seed: int, size: int, rng: np.random.Generator
) -> dict[str, float]:
    """Metrics for batches of one size; test image 0 is in all of them, but alone only once."""
    images = study.test_images
    overlaps: list[float] = []
    firsts: dict[str, list[np.ndarray]] = {name: [] for name in compiled.reconstruct}
    psnrs: dict[str, list[float]] = {name: [] for name in compiled.reconstruct}
    for draw in range(study.budget.stability_batches):
        mates = 1 + rng.choice(len(images) - 1, size - 1, replace=False)
        x = images[draw : draw + 1] if size == 1 else images[np.append(0, mates)]
        key = jax.random.fold_in(study_key(seed, "mask"), draw)
        own, running = (np.asarray(compiled.active[name](x, key)) for name in ("batch", "ema"))
        overlaps.append(jaccard(own, running))
        for name, reconstruct in compiled.reconstruct.items():
            reconstructed = np.asarray(reconstruct(x))
            firsts[name].append(reconstructed[0])
            psnrs[name].append(float(np.mean(psnr(reconstructed, x))))
    metrics = {f"jaccard_{size}": float(np.mean(overlaps))}
    if size > 1:
        for name in compiled.reconstruct:
            metrics[f"shift_{name}_{size}"] = float(np.max(np.ptp(firsts[name], axis=0)))
            metrics[f"psnr_{name}_{size}"] = float(np.mean(psnrs[name]))
    return metrics
