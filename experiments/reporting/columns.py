"""Columns that tables show, and the figures that the paper printed."""

from collections.abc import Mapping

from experiments.records.intervals import Summary
from experiments.reporting.tables import Column, Direction, Grid
from experiments.study.lineup import BASELINE

QUALITY = (
    Column("psnr", "PSNR", 2, "higher", "dB"),
    Column("psnr_of_mean_error", "PSNR of mean error", 2, "higher", "dB"),
    Column("ssim", "SSIM", 3, "higher"),
)
SAMPLERS = ("prior", "patterns", "mixture")
GENERATION = tuple(
    Column(f"{metric}_{sampler}", f"{title}, {sampler}", decimals, "lower", substitute=metric)
    for metric, title, decimals in (("fid_clf", "FID-clf", 1), ("kid_clf", "KID-clf", 3))
    for sampler in SAMPLERS
)
SPARSITY = (Column("active_latents", "active latents", 2), Column("active_dims", "dims in use", 0))
ACCURACY = (
    Column("accuracy_0.0", "clean", 4, "higher"),
    Column("accuracy_0.3", "sigma 0.3", 4, "higher"),
    Column("accuracy_0.5", "sigma 0.5", 4, "higher"),
    Column("accuracy_0.7", "sigma 0.7", 4, "higher"),
)
COMPARISON = (
    QUALITY[0],
    QUALITY[2],
    Column("fid_clf_best", "FID-clf, best sampler", 1, "lower"),
    GENERATION[0],
    Column("kid_clf_best", "KID-clf, best sampler", 3, "lower"),
    GENERATION[len(SAMPLERS)],
    *ACCURACY,
    *SPARSITY,
    Column("hoyer", "Hoyer", 3),
    Column("active_units", "active units", 0),
    Column("linear_probe", "linear probe", 4, "higher"),
    Column("parameters", "parameters", 0),
    Column("seconds_epoch", "an epoch", 2, "lower", "s"),
    Column("encode_ms", "encoding an image", 4, "lower", "ms"),
)
RATE = (
    Column("rate", "rate", 2, unit="nats"),
    Column("mse", "MSE", 5),
    Column("distortion", "distortion", 1, unit="nats"),
    Column("rate_and_distortion", "rate + distortion", 1, unit="nats"),
)
LIKELIHOOD = (
    Column("elbo", "ELBO", 2, "higher", "nats"),
    Column("importance_bound", "bound of 500 samples", 2, "higher", "nats"),
    Column("rate", "KL", 2, unit="nats"),
)
SAE = (
    Column("explained_variance", "explained variance", 4, "higher"),
    Column("error", "error", 5, "lower"),
    *SPARSITY,
)
STITCHED = (
    Column("novel", "novel latents", 0),
    Column("swaps", "groups swapped", 0),
    Column("error_small", "error of the small one", 5),
    Column("error_novel", "with the novel ones", 5),
    Column("error_large", "error of the large one", 5),
    Column("helping", "novel that help", 3),
    Column("harming", "others that harm", 3),
    Column("best_threshold", "best threshold", 1),
    Column("best_error", "error there", 5),
)
CHURN = Column("agreement", "agreement in the last epoch", 3, "higher")
OVERLAP = tuple(Column(f"jaccard_{n}", f"batch of {n}", 3, "higher") for n in (1, 8, 64, 128, 512))


def by_selection(
    metric: str, decimals: int, better: Direction, unit: str = ""
) -> tuple[Column, ...]:
    return tuple(
        Column(f"{metric}_{selection}_{n}", f"{title}, batch of {n}", decimals, better, unit)
        for n in (8, 64, 512)
        for selection, title in (("batch", "own mask"), ("ema", "EMA mask"))
    )


def _published(beta_vae: Mapping[str, float], top_k: Mapping[str, float]) -> Grid:
    return {
        model: {metric: Summary(value, None, 1) for metric, value in values.items()}
        for model, values in ((BASELINE, beta_vae), ("Batch Top-K", top_k))
    }


PAPER_TABLE1 = _published(
    beta_vae={"fid": 41.307, "psnr": 21.538, "ssim": 0.9171},
    top_k={"fid": 34.373, "psnr": 14.171, "ssim": 0.749},
)
PAPER_TABLE2 = _published(
    beta_vae={"accuracy_0.3": 0.9125, "accuracy_0.5": 0.8493, "accuracy_0.7": 0.6486},
    top_k={"accuracy_0.3": 0.8992, "accuracy_0.5": 0.8329, "accuracy_0.7": 0.7841},
)
