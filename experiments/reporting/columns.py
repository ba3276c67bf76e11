"""Columns that several experiments show."""

from collections.abc import Iterable, Mapping

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
SPREAD = tuple(
    Column(f"fid_clf_sd_{sampler}", f"over classifiers, {sampler}", 1, substitute="fid_clf_sd")
    for sampler in SAMPLERS
)
SPARSITY = (Column("active_latents", "active latents", 2), Column("active_dims", "dims in use", 0))
ACCURACY = (
    Column("accuracy_0.0", "clean", 4, "higher"),
    Column("accuracy_0.3", "sigma 0.3", 4, "higher"),
    Column("accuracy_0.5", "sigma 0.5", 4, "higher"),
    Column("accuracy_0.7", "sigma 0.7", 4, "higher"),
)
ACTIVE = (
    Column("active_latents_0.0", "active, clean", 1),
    Column("active_latents_0.3", "active, 0.3", 1),
    Column("active_latents_0.5", "active, 0.5", 1),
    Column("active_latents_0.7", "active, 0.7", 1),
)

EXPLAINED_VARIANCE = Column("explained_variance", "explained variance", 4, "higher")
_KNOWN = {
    column.metric: column
    for column in (
        *QUALITY,
        EXPLAINED_VARIANCE,
        *GENERATION,
        *SPREAD,
        *SPARSITY,
        *ACCURACY,
        *ACTIVE,
    )
}


def column_of(metric: str, values: Iterable[float] = ()) -> Column:
    """The column that several experiments have for a metric; a plain one if there is none.

    Args:
        metric: its name.
        values: some; where all are whole numbers, a plain column prints counts.

    Examples:
        >>> column_of("psnr").heading, column_of("novel", [3.0, 4.0]).decimals
        ('PSNR, dB\xa0↑', 0)
    """
    if metric in _KNOWN:
        return _KNOWN[metric]
    return Column(metric, metric, 0 if all(value % 1 == 0 for value in values) else 4)


def columns_of(measured: Iterable[Mapping[str, float]]) -> list[Column]:
    """A column of each metric that one of the models has."""
    values: dict[str, list[float]] = {}
    for metrics in measured:
        for metric, value in metrics.items():
            values.setdefault(metric, []).append(value)
    return [column_of(metric, own) for metric, own in values.items()]
