"""How the rows of each experiment are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.reporting.columns import (
    ACCURACY,
    CHURN,
    COMPARISON,
    GENERATION,
    LIKELIHOOD,
    OVERLAP,
    PAPER_TABLE1,
    PAPER_TABLE2,
    QUALITY,
    RATE,
    SAE,
    SAMPLERS,
    SPARSITY,
    STITCHED,
    by_selection,
)
from experiments.reporting.tables import Column, Grid


@dataclass(frozen=True)
class Experiment:
    """How the rows of one experiment are shown; every group of columns makes a table."""

    name: str
    title: str
    intro: str
    groups: Mapping[str, Sequence[Column]]
    paper: Grid | None = None
    paper_columns: Sequence[Column] = ()
    paper_note: str = ""


EXPERIMENTS = (
    Experiment(
        "table1",
        "Table 1: reconstruction and generation",
        "Images are generated from codes drawn from the prior, N(0, I) with the small entries of a "
        "latent silenced, so that it is active as often as in training; from the patterns of "
        "training images, with Gaussian values; or from a Gaussian mixture fitted to the latents "
        "of training images before the mask and sampled through it.",
        {"": (*QUALITY, *GENERATION, *SPARSITY)},
        PAPER_TABLE1,
        (
            Column("fid", "FID, Inception", 3, "lower"),
            Column("psnr", "PSNR", 3, "higher", "dB"),
            Column("ssim", "SSIM", 4, "higher"),
        ),
        "The paper's FID is an Inception FID: not comparable with FID-clf.",
    ),
    Experiment(
        "table2",
        "Table 2: accuracy on reconstructions of noisy images",
        "Test images with Gaussian noise of standard deviation sigma are reconstructed, and the "
        "digit classifier reads the reconstructions.",
        {"": ACCURACY},
        PAPER_TABLE2,
        ACCURACY,
    ),
    Experiment(
        "stability",
        "Stability of the selection",
        "How far the selection, and so an image's reconstruction, depends on the images that "
        "share its batch: with the mask that a test batch chooses for itself, and with the mask "
        "that the running average (EMA) of training chooses.",
        {
            "overlap of the batch's own mask with the EMA mask": OVERLAP,
            "largest change of a pixel when the batch mates change": by_selection(
                "shift", 4, "lower"
            ),
            "PSNR": by_selection("psnr", 2, "higher", "dB"),
        },
    ),
    Experiment(
        "collapse",
        "Collapse: every reduction of the losses, both bodies",
        "A model that reconstructs no better than as many principal components has collapsed.",
        {"": (*QUALITY, SPARSITY[1])},
    ),
    Experiment(
        "ablation",
        "Ablation: one change at a time",
        "Variants of the batch Top-K under one budget. Agreement: Jaccard index of the mask that a "
        "training batch chooses and the one that the running statistics would.",
        {
            "": (QUALITY[0], QUALITY[2], *GENERATION[: len(SAMPLERS)], *SPARSITY, CHURN),
            "robustness": ACCURACY,
        },
    ),
    Experiment(
        "compare",
        "Comparison: every system",
        "One budget for all, and one body but for the SAE and PCA, which are linear. VSC and the "
        "sparse generator have betas of their own, at which about K latents are active. Best "
        "sampler: of the prior, the patterns and the mixture of Table 1, the one with the smallest "
        "distance.",
        {"": COMPARISON},
    ),
    Experiment(
        "rate",
        "Rate and distortion",
        "Codes are drawn from the posterior. Systems without one have no rate.",
        {"": RATE},
    ),
    Experiment(
        "likelihood",
        "Likelihood of the test images",
        "Nats an image; a density of pixels that are black or white. On grey images the same sums "
        "are cross-entropies, not likelihoods. The binarisation is our own draw from the grey "
        "values, made once.",
        {"": LIKELIHOOD},
    ),
    Experiment(
        "stitch",
        "Dictionaries: stitching and the meta-SAE",
        "BatchTopK SAEs of two sizes on the same inputs, the small one turned into the large one "
        "latent by latent; and one of the directions of the large one, which says how far they are "
        "sums of a few others. Only latents that are active in a test input are stitched.",
        {"": SAE, "stitched": STITCHED},
    ),
)
