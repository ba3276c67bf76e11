"""Rows of every kind of experiment, as a report gets them."""

import numpy as np

from experiments.records.pictures import encode_images
from experiments.records.rows import Row
from experiments.study.lineup import ELEMENT, MEAN_ABS_Z

SEEDS = (0, 1, 2)
NOISE = np.array([0.1, -0.2, 0.3, -0.1])
IMAGES = encode_images(np.arange(12 * 16, dtype=np.uint8).reshape(12, 4, 4, 1))
TOP_K, DEFAULT = MEAN_ABS_Z, ELEMENT


def make_row(experiment, variant, model, seed, metrics, **more):
    return Row(
        experiment=experiment,
        variant=variant,
        model=model,
        config={"samples": 10000, "k": 8},
        seed=seed,
        data={"source": "synthetic", "train": 64, "test": 16},
        metrics=metrics,
        seconds=60.0,
        **more,
    )


def history(sparse):
    values = {"epoch": [1, 2], "loss": [2.0, 1.0], "reconstruction": [1.0, 0.5], "kl": [0.0, 50.0]}
    if sparse:
        importance = {"step": [1, 2], "values": [[1.0, 0.0, 0.5], [2.0, 0.01, 0.5]]}
        values["importance"] = importance | {"active_dims": [0, 2]}
    return values


def table1(seeds):
    pictures = dict.fromkeys(["originals", "reconstructions", "samples_prior"], IMAGES)
    means = {"beta-VAE": (24.0, 0.9, 110.0, 60.0), TOP_K: (18.0, 0.7, 90.0, 60.5)}
    for model, (psnr, ssim, prior, mixture) in means.items():
        for seed in seeds:
            noise = NOISE[seed] * (1 if model == TOP_K else -1)
            metrics = {
                "psnr": psnr + noise,
                "ssim": ssim,
                "fid_clf_prior": prior + noise,
                "fid_clf_mixture": mixture + noise,
                "active_dims": 8,
            }
            yield make_row(
                "table1", "averaged KL", model, seed, metrics,
                history=history(model == TOP_K), pictures=pictures,
            )  # fmt: skip
    pca = {"psnr": 30.0, "fid_clf_mixture": 70.0}
    yield make_row("table1", "averaged KL", "PCA, 64 components", None, pca)
    yield make_row("table1", "averaged KL", "train images (floor)", None, {"fid_clf": 1.4})


def table2(seeds):
    pictures = dict.fromkeys(["originals", "noisy_0.5", "reconstructed_0.5"], IMAGES)
    for model, shift in (("beta-VAE", 0.0), (DEFAULT, -0.02)):
        for seed in seeds:
            metrics = {f"accuracy_{sigma}": 0.9 + shift + NOISE[seed] / 100 for sigma in (0.3, 0.5)}
            metrics["accuracy_0.7"] = 0.6 - 5 * shift
            yield make_row("table2", "trained to denoise", model, seed, metrics, pictures=pictures)


def stability(seeds):
    for seed in seeds:
        metrics = {"jaccard_1": 0.5, "jaccard_512": 1.0, "shift_ema_8": 0.0, "shift_batch_8": 0.25}
        yield make_row("stability", "", DEFAULT, seed, metrics)


def other(seeds):
    for seed in seeds:
        yield make_row("study", "", "Top-K, K=4", seed, {"own_metric": 1.5})


def ablation(seeds):
    for number, model in enumerate(["beta-VAE", "element: |mu|", "dimension: KL"]):
        for seed in seeds:
            metrics = {
                "psnr": 20.0 + number + NOISE[seed],
                "fid_clf_prior": 90.0,
                "fid_clf_patterns": 50.0 - number,
                "fid_clf_mixture": 60.0,
                "active_latents": 8.0 * number,
                "accuracy_0.5": 0.5 + number / 10,
                "agreement": 0.9,
            }
            churn = history(sparse=False) | ({"agreement": [0.5, 0.9]} if number else {})
            yield make_row("ablation", "K=8 of 64", model, seed, metrics, history=churn)


ALL = (table1, table2, stability, ablation, other)


def rows_of(*experiments, seeds=SEEDS):
    return [row for experiment in experiments for row in experiment(seeds)]
