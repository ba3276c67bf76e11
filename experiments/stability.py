"""The paper's core claim, measured: the EMA's mask does not depend on the test batch.

For test batches of n images: the Jaccard index of the batch's own mask and the EMA's, and how far
one image's reconstruction moves when its batch mates change, under either selection.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.study import Measurement, Study, study_key
from vae_topk_jax.config import Config
from vae_topk_jax.importance import resolve
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics import psnr
from vae_topk_jax.selection import batch_top_k_mask

BATCH_SIZES = (1, 8, 64, 512)


def measure_stability(study: Study, variant: str, title: str, config: Config) -> None:
    """Adds the stability row of one Top-K model."""

    def measure() -> Measurement:
        inference = study.train(config, title).inference
        rng = np.random.default_rng(config.seed)
        metrics: dict[str, float] = {}
        for size in BATCH_SIZES:
            if size <= len(study.test_images):
                metrics |= _of_size(study, inference, size, rng)
        return Measurement(metrics)

    settings = config.to_dict() | {"batches": study.budget.stability_batches}
    study.measure("stability", variant, title, settings, config.seed, measure)


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """|a and b| / |a or b| of two masks; 1 where both are empty.

    Examples:
      >>> jaccard(np.array([1, 1, 0]), np.array([1, 0, 1])) == 1 / 3
      True
    """
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    union = np.sum(a | b)
    return float(np.sum(a & b) / union) if union else 1.0


def _of_size(
    study: Study, inference: Inference, size: int, rng: np.random.Generator
) -> dict[str, float]:
    """Metrics for batches of this size: image 0 of the test set among changing batch mates."""
    overlaps, firsts, psnrs = [], {"ema": [], "batch": []}, {"ema": [], "batch": []}
    selections = {"ema": True, "batch": False}
    for draw in range(study.budget.stability_batches):
        mates = rng.choice(len(study.test_images) - 1, size - 1, replace=False) + 1
        x = study.test_images[np.concatenate([[0], mates]).astype(int)]
        if size == 1:
            x = study.test_images[draw : draw + 1]
        key = jax.random.fold_in(study_key(inference.config.seed, "mask"), draw)
        mask_D = _batch_mask(inference, x, key)
        overlaps.append(jaccard(mask_D, inference.mask))
        for name, running in selections.items():
            reconstructed = np.asarray(_reconstruct(inference)(x, running))
            firsts[name].append(reconstructed[0])
            psnrs[name].append(np.mean(psnr(reconstructed, x)))
    metrics = {f"jaccard_{size}": float(np.mean(overlaps))}
    if size > 1:
        for name in selections:
            metrics[f"shift_{name}_{size}"] = float(np.max(np.ptp(firsts[name], axis=0)))
            metrics[f"psnr_{name}_{size}"] = float(np.mean(psnrs[name]))
    return metrics


@functools.lru_cache(maxsize=1)
def _reconstruct(inference: Inference):
    apply = jax.jit(
        lambda variables, x, running: inference.model.apply(
            variables, x, use_running_average=running, method="reconstruct"
        ),
        static_argnums=2,
    )
    return functools.partial(apply, inference.variables)


def _batch_mask(inference: Inference, x: np.ndarray, key: jax.Array) -> np.ndarray:
    """The mask that this batch would choose in training, from a sample of its posterior."""
    return np.asarray(_compiled_mask(inference)(x, key))


@functools.lru_cache(maxsize=1)
def _compiled_mask(inference: Inference):
    importance = resolve(inference.config.importance)

    @jax.jit
    def mask(variables, x_BxHxWxC, key):
        mu_BxD, logvar_BxD = inference.model.apply(variables, x_BxHxWxC, method="posterior")
        z_BxD = mu_BxD + jnp.exp(0.5 * logvar_BxD) * jax.random.normal(key, mu_BxD.shape)
        return batch_top_k_mask(importance(z_BxD, mu_BxD, logvar_BxD), inference.config.k)

    return functools.partial(mask, inference.variables)
