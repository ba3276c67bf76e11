"""What the report shows, as data: columns, experiments, definitions, the paper's own figures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from experiments.records.intervals import Summary
from experiments.reporting.tables import BASELINE, Column, Direction, Grid

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


def _by_selection(
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
            "largest change of a pixel when the batch mates change": _by_selection(
                "shift", 4, "lower"
            ),
            "PSNR": _by_selection("psnr", 2, "higher", "dB"),
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

# by the metrics' common prefix; {samples} and {probe} are filled in where they are known
DEFINITIONS = {
    "psnr": "PSNR: peak signal-to-noise ratio of each test image, averaged over the images.",
    "psnr_of_mean_error": "PSNR of mean error: PSNR of the squared error averaged over all images.",
    "ssim": "SSIM: structural similarity, Gaussian window of 11 pixels with sigma 1.5.",
    "fid_clf": "FID-clf: Frechet distance on 128 penultimate features of our own MNIST CNN"
    "{samples}; not comparable with Inception FID.",
    "kid_clf": "KID-clf: kernel distance (squared MMD) on the same features{samples}.",
    "active_latents": "Active latents: mean number of latents that are not zero in a test image.",
    "active_dims": "Dims in use: latent dimensions active in at least one training image of 1,000.",
    "hoyer": "Hoyer: mean Hoyer sparsity of the test codes over their standard deviations; 0 where "
    "all latents are equally large, 1 where one alone is not zero.",
    "active_units": "Active units: latents whose code varies by more than 0.01 (its variance) over "
    "the test images.",
    "linear_probe": "Linear probe: accuracy on the test codes of a logistic regression fitted to "
    "10,000 training codes.",
    "parameters": "Parameters: all that is trained; of PCA, components and mean.",
    "seconds_epoch": "An epoch: median time of a pass over the training images, without the first, "
    "which compiles.",
    "encode_ms": "Encoding: time an image takes to its code, among 1,024 at once.",
    "rate": "Rate: KL of the posterior to N(0, 1) where a latent is active, and what it costs to "
    "say which are, with each latent's own frequency as the prior; mean over test images.",
    "mse": "MSE: mean squared error a pixel.",
    "distortion": "Distortion: negative log-likelihood under a Gaussian with the MSE as variance.",
    "explained_variance": "Explained variance: 1 - squared error over variance of the inputs.",
    "error": "Error: mean squared error of one value of an input.",
    "helping": "Novel latents that help: share that lower the error when inserted alone in the "
    "small dictionary; others that harm: share of reconstruction latents that raise it.",
    "best_threshold": "Best threshold: that of the sweep at which the novel latents together leave "
    "the smallest error.",
    "elbo": "ELBO: evidence lower bound of log p(x), natural logarithm.",
    "importance_bound": "Bound: importance-weighted bound of log p(x) (Burda et al. 2016).",
    "agreement": "Agreement: Jaccard index of a training batch's mask and the running one's.",
    "accuracy": "Accuracy: share of images that our own MNIST CNN{probe} classifies correctly.",
    "jaccard": "Overlap: Jaccard index of two masks, shared over joint dimensions; 1 if the same.",
    "shift": "Change of a pixel: on images scaled to 0..1.",
}


def define(metrics: Iterable[str], samples: str = "", probe: str = "") -> Iterator[str]:
    """The definitions of the metrics among these."""
    names = list(metrics)
    for prefix, text in DEFINITIONS.items():
        if any(name.startswith(prefix) for name in names):
            yield text.format(samples=samples, probe=probe)
