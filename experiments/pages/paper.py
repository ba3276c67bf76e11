"""The tables of the paper, of the ablation and of the other systems."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from experiments import (
    ablation,
    classes,
    collapse,
    compare,
    levels,
    likelihood,
    rate,
    stitch,
    supports,
    table1,
    table2,
)
from experiments.pages.table import PageTable
from experiments.reporting.columns import ACCURACY, ACTIVE, SAMPLERS
from experiments.reporting.tables import Column
from experiments.study.lineup import (
    ANNEALED,
    BASELINE,
    DIMENSION,
    ELEMENT,
    FIXED,
    MEAN_ABS_Z,
    SAMPLE,
    SLOT,
    by_likelihood,
    pca_title,
    trained_models,
)
from vae_topk_jax.runs.inputs import PENULTIMATE, PIXELS

_COLUMNS = {
    column.metric: column
    for command in (table1, ablation, compare, rate, likelihood, stitch, supports, levels, classes)
    for columns in command.LAYOUT.tables.values()
    for column in columns
}
_COLUMNS |= {column.metric: replace(column, decimals=3) for column in ACCURACY}
_COLUMNS |= {
    column.metric: replace(column, title=of_images.title, decimals=2)
    for column, of_images in zip(ACTIVE, ACCURACY, strict=True)
}
_RECONSTRUCTED = ("psnr", "ssim")
_REFINED = ("psnr_refined", "ssim_refined")
_GENERATED = ("fid_clf_prior", "fid_clf_patterns", "fid_clf_mixture")
_BESIDE = "the paper: PSNR / SSIM / Inception FID"
_NOISY = ("accuracy_0.3", "accuracy_0.5", "accuracy_0.7")
_ALSO_CLEAN = ("accuracy_0.0", *_NOISY)
_ACTIVE = tuple(column.metric for column in ACTIVE)
_USED = ("active_latents", "active_dims")
_ABLATED = (
    *("beta-VAE", "dense VAE, 8 latents", pca_title(8), "dimension: mean |z|, the paper"),
    *("dimension: KL", "dimension: fixed at random", "element: |z|", "element: |mu|"),
    *("element: |mu| x sensitivity", "sample: |mu| x sensitivity"),
)


def _in(variant: str, *metrics: str) -> list[tuple[str, Column]]:
    return [(variant, _COLUMNS[metric]) for metric in metrics]


def _sparse(k: int) -> tuple[str, ...]:
    return (*trained_models(4 * k, k), pca_title(k))


def _table1(variant: str, *last: Sequence[str]) -> PageTable:
    columns = _in(variant, *_RECONSTRUCTED, "fid_clf_prior", "fid_clf_mixture", *_USED)
    models = ("train images (floor)", *_sparse(8), pca_title(64))
    return PageTable("paper", "table1", columns, variant, models, last)


def _paper_table1(model: str, active: str) -> list[str]:
    psnr, ssim, fid = _paper_figures(model)
    return [f"the paper, {model}", psnr, ssim, f"Inception FID {fid}", "", active, ""]


def _paper_figures(model: str) -> tuple[str, str, str]:
    """PSNR, SSIM and Inception FID as printed in the paper."""
    cells = table1.PAPER.grid[model]
    psnr, ssim, fid = (cells[name].mean for name in ("psnr", "ssim", "fid"))
    return f"{psnr:.2f}", f"{ssim:.3f}", f"{fid:.1f}"


def _table2(
    models: Sequence[str],
    metrics: Sequence[str] = _ALSO_CLEAN,
    corner: str = "",
    last: Sequence[Sequence[str]] = (),
) -> PageTable:
    """Both protocols side by side."""
    columns = [column for variant in table2.PROTOCOLS.values() for column in _in(variant, *metrics)]
    corner += "trained on clean images (left), to denoise (right)"
    return PageTable("paper", "table2", columns, corner, models, last)


def _paper_table2(model: str) -> list[str]:
    cells = table2.PAPER.grid[model]
    figures = [f"{cells[metric].mean:.4f}" for metric in _NOISY]
    return [f"the paper, {model} (protocol not given)", "", *figures, "", "", "", ""]


def _collapse(body: collapse.Body) -> PageTable:
    regimes = [
        f"pixels {pixels}, KL {latents}"
        for pixels, latents in itertools.product(collapse.REDUCTIONS.values(), repeat=2)
    ]
    columns = [
        (f"{body}, {regime}", replace(_COLUMNS["psnr"], title=regime, unit=""))
        for regime in regimes
    ]
    models = (MEAN_ABS_Z, DIMENSION, ELEMENT, pca_title(8))
    return PageTable("collapse", "collapse", columns, f"PSNR in dB, {body}", models)


def _overview() -> PageTable:
    """Six models of Table 1, with the paper's figures beside them."""
    columns = _in("averaged KL", *_RECONSTRUCTED, "fid_clf_mixture", "active_dims")
    models = (BASELINE, MEAN_ABS_Z, DIMENSION, ELEMENT, SAMPLE, FIXED)
    published = {BASELINE: "beta-VAE", MEAN_ABS_Z: "Batch Top-K"}
    beside = {model: " / ".join(_paper_figures(name)) for model, name in published.items()}
    return PageTable(
        "paper", "table1", columns, "8 of 64 latents", models, beside={_BESIDE: beside}
    )


TABLES = {
    "overview": _overview(),
    "table1-averaged": _table1(
        "averaged KL", _paper_table1("beta-VAE", "64"), _paper_table1("Batch Top-K", "8")
    ),
    "table1-summed": _table1("summed KL"),
    "table2": _table2(
        (*_sparse(4)[:-1], ANNEALED, pca_title(4), pca_title(256), "classifier on the noisy image"),
        last=[_paper_table2("beta-VAE"), _paper_table2("Batch Top-K")],
    ),
    "table2-likelihood": _table2(
        (
            *(by_likelihood(title) for title in (*_sparse(4)[:-1], ANNEALED)),
            "nearest training image's label",
        )
    ),
    "table2-active": _table2((DIMENSION, ELEMENT, SAMPLE, SLOT), _ACTIVE, "active latents, "),
    "ablation": PageTable(
        "ablation",
        "ablation",
        _in(ablation.VARIANT, *_RECONSTRUCTED, *_GENERATED, "accuracy_0.5", *_USED, "agreement"),
        "K = 8 of 64",
        _ABLATED,
    ),
    "importances": PageTable(
        "ablation",
        "ablation",
        _in(ablation.VARIANT, "psnr", "accuracy_0.5", "agreement"),
        '`selection="dimension"`',
        (
            *("dimension: mean |z|, the paper", "dimension: mean |mu|", "dimension: KL"),
            *("dimension: signal to noise", "dimension: mean |mu| x sensitivity"),
            "dimension: fixed at random",
        ),
    ),
    "scores": PageTable(
        "ablation",
        "ablation",
        _in(ablation.VARIANT, "psnr", "fid_clf_mixture", "accuracy_0.5", *_USED),
        "by element and per sample",
        (
            *("element: |z|", "element: |mu|", "element: KL", "element: signal to noise"),
            *("element: |mu| x sensitivity", "sample: |mu|", "sample: |mu| x sensitivity"),
        ),
    ),
    "used": PageTable(
        "ablation",
        "ablation",
        _in(ablation.VARIANT, "active_dims", "psnr"),
        "K = 8 of 64",
        ("element: |mu|", "element: |mu|, K annealed", "element: |mu|, KL of active only"),
    ),
    "supports": PageTable(
        "supports",
        "supports",
        _in(supports.CHOICE, *_RECONSTRUCTED, *_USED, "supports"),
        "K = 8 of 64, 5,000 validation images",
        (*supports.variants(), *supports.TRIALS),
    ),
    "supports-longer": PageTable(
        "supports",
        "supports",
        _in(supports.LONGER_CHOICE, *_RECONSTRUCTED, *_USED, "supports"),
        "K = 8 of 64, 5,000 validation images",
        (*supports.LONGER, *(f"slot, temperature rising from {a} to {4 * a}" for a in (1, 2))),
    ),
    "recipes": PageTable(
        "supports",
        "supports",
        _in(supports.LARGE_CHOICE, *_RECONSTRUCTED, *_REFINED),
        "K = 8 of 64, 5,000 validation images",
        tuple(supports.recipes()),
    ),
    "slots": PageTable(
        "supports",
        "supports",
        _in(supports.SMALL_FINAL, *_RECONSTRUCTED, *_GENERATED, *_USED, "supports"),
        "K = 8 of 64, test images",
        tuple(supports.finalists()),
    ),
    "slots-large": PageTable(
        "supports",
        "supports",
        _in(
            supports.LARGE_FINAL,
            *(*_RECONSTRUCTED, *_REFINED, "active_latents_refined"),
            *("refine_ms", "active_dims", "supports"),
        ),
        "K = 8 of 64, test images",
        tuple(supports.finalists()),
    ),
    "levels": PageTable(
        "levels",
        "levels",
        _in(levels.VARIANT, *_RECONSTRUCTED, *_GENERATED, "kl", *_USED, "supports"),
        f"K = {levels.K} of {levels.LATENT_DIM}, test images",
    ),
    "collapse-mlp": _collapse("mlp"),
    "collapse-conv": _collapse("conv"),
    "compare": PageTable(
        "compare",
        "compare",
        _in(compare.VARIANT, *_RECONSTRUCTED, "fid_clf_best", "fid_clf_prior", *_NOISY, *_USED),
        "K = 8 of 64",
    ),
    "codes": PageTable(
        "compare",
        "compare",
        _in(compare.VARIANT, "hoyer", "active_units", "linear_probe", "parameters", "encode_ms"),
        "K = 8 of 64",
    ),
    "likelihood": PageTable(
        "likelihood",
        "likelihood",
        [
            (variant, _COLUMNS[metric])
            for variant in ("statically binarised", "grey")
            for metric in ("elbo", "importance_bound")
        ],
        "binarised (left), grey (right)",
    ),
    "iwae": PageTable(
        "iwae",
        "iwae",
        _in("statically binarised", "elbo", "importance_bound", "rate"),
        "16 latents, binarised",
    ),
    "classes": PageTable(
        "classes",
        "classes",
        _in(classes.VARIANT, *(f"asked_{name}" for name in SAMPLERS), "psnr", "psnr_unlabelled"),
        "K = 8 of 64, summed KL",
        classes.LAYOUT.models,
    ),
    "dictionaries": PageTable(
        "stitch",
        "stitch",
        [
            (variant, _COLUMNS[metric])
            for variant in (PIXELS, PENULTIMATE)
            for metric in ("explained_variance", "active_latents", "active_dims")
        ],
        "pixels, k = 16 (left), penultimate layer, k = 8 (right)",
        ("SAE, 256 latents", "SAE, 1024 latents", "meta-SAE, 64 meta-latents"),
    ),
}
