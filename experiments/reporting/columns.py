"""Columns that several experiments show."""

from experiments.reporting.tables import Column

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
