"""Writes the tables of the READMEs and of the documentation: results that are committed, options of
the commands, public names.

    python -m experiments.pages

A table stands between `<!-- results NAME -->` and `<!-- end -->`, NAME a key of `TABLES`; other
text between `<!-- generated NAME -->` and `<!-- end -->`, NAME a key of `TEXTS`.
"""

import functools
import inspect
import itertools
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import vae_topk_jax
from experiments import ablation, cli, collapse, compare, flags
from experiments.activations import PENULTIMATE, PIXELS
from experiments.bench.layout import EXPERIMENTS as BENCH
from experiments.bench.sizes import PRESETS
from experiments.bench.targets import targets
from experiments.intervals import Summary, summarise
from experiments.layout import (
    ACCURACY,
    CHURN,
    COMPARISON,
    GENERATION,
    LIKELIHOOD,
    PAPER_TABLE1,
    PAPER_TABLE2,
    QUALITY,
    RATE,
    SAE,
    STITCHED,
)
from experiments.lineup import ANNEALED, DIMENSION, ELEMENT, LITERAL, pca_title, trained_models
from experiments.results import Row, read_results
from experiments.tables import Column, pipe_table

_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "experiments" / "results"
ENGLISH = _ROOT / "README.md"
KOREAN = _ROOT / "README.ko.md"
PAGES = (
    ENGLISH,
    KOREAN,
    *(
        _ROOT / "docs" / f"{name}.md"
        for name in (
            "api",
            "choosing",
            "method",
            "options",
            "performance",
            "systems",
            "troubleshooting",
        )
    ),
)
_PLACE = re.compile(r"(<!-- (?:results|generated) ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MIN_SEEDS = 3  # for an interval

_COLUMNS = {
    column.metric: column
    for group in (QUALITY, GENERATION, COMPARISON, RATE, LIKELIHOOD, SAE, STITCHED, [CHURN])
    for column in group
}
_COLUMNS |= {column.metric: replace(column, decimals=3) for column in ACCURACY}
_SPEED = {
    (experiment.name, column.metric): column
    for experiment in BENCH
    for column in experiment.groups[""]
}
_RECONSTRUCTED = ("psnr", "ssim")
_GENERATED = ("fid_clf_prior", "fid_clf_patterns", "fid_clf_mixture")
_NOISY = ("accuracy_0.3", "accuracy_0.5", "accuracy_0.7")
_USED = ("active_latents", "active_dims")
_SHOWN = {
    "train images (floor)": "training images (floor)",
    "Top-K, literal mean |z|": "Top-K, mean |z| (the paper, literally)",
    "Top-K by dimension": "Top-K by dimension, KL",
    "Top-K by element": "**Top-K by element (default)**",
    "dimension: mean |z|, the paper": "by dimension, mean |z| (the paper)",
    "element: |mu| x sensitivity": "**by element, |mu| x sensitivity (default)**",
}
_RULES = {"dimension": "by dimension", "element": "by element", "sample": "per sample"}
_ABLATED = (
    *("beta-VAE", "dense VAE, 8 latents", pca_title(8), "dimension: mean |z|, the paper"),
    *("dimension: KL", "dimension: fixed at random", "element: |z|", "element: |mu|"),
    *("element: |mu| x sensitivity", "sample: |mu| x sensitivity"),
)
# What stands in the tables of the Korean README in place of the English words.
WORDS = {
    "averaged KL": "KL 평균",
    "summed KL": "KL 합",
    "FID-clf, prior\u00a0↓": "FID-clf, 사전분포\u00a0↓",
    "FID-clf, mixture\u00a0↓": "FID-clf, 혼합분포\u00a0↓",
    "active latents": "활성 잠재 변수 수",
    "dims in use": "사용된 차원 수",
    "training images (floor)": "학습 이미지(하한)",
    "Top-K, mean |z| (the paper, literally)": "Top-K, |z| 평균(논문 그대로)",
    "Top-K by dimension, KL": "차원별 Top-K, KL",
    "**Top-K by element (default)**": "**원소별 Top-K(기본값)**",
    "Top-K per sample": "샘플별 Top-K",
    "fixed random mask": "고정 무작위 마스크",
    "dense VAE, 8 latents": "밀집 VAE, 잠재 변수 8개",
    "PCA, 8 components": "PCA, 주성분 8개",
    "PCA, 64 components": "PCA, 주성분 64개",
    "*the paper, beta-VAE*": "*논문, beta-VAE*",
    "*the paper, Batch Top-K*": "*논문, Batch Top-K*",
    "trained on clean images (left), to denoise (right)": (
        "깨끗한 이미지로 학습(왼쪽), 잡음 제거로 학습(오른쪽)"
    ),
    "dense VAE, 4 latents": "밀집 VAE, 잠재 변수 4개",
    "Top-K per sample, K annealed": "샘플별 Top-K, K 어닐링",
    "PCA, 4 components": "PCA, 주성분 4개",
    "PCA, 256 components": "PCA, 주성분 256개",
    "classifier on the noisy image": "잡음 이미지를 그대로 분류",
    "*the paper, beta-VAE (protocol not said)*": "*논문, beta-VAE(실험 방법 미기재)*",
    "*the paper, Batch Top-K (protocol not said)*": "*논문, Batch Top-K(실험 방법 미기재)*",
}


@dataclass(frozen=True)
class PageTable:
    """A table of a page.

    Attributes:
        folder: of the results, under `experiments/results`.
        experiment: whose rows it shows.
        columns: (variant, column) of each column.
        corner: what stands above the names of the models.
        models: which ones, in order; all if none is named.
        last: rows of text below them, of one cell a column.
    """

    folder: str
    experiment: str
    columns: Sequence[tuple[str, Column]]
    corner: str = ""
    models: Sequence[str] = ()
    last: Sequence[Sequence[str]] = ()

    def markdown(self, words: Mapping[str, str]) -> str:
        """The table's lines, with what `words` has in place of a cell."""
        variants = {variant for variant, _ in self.columns}
        rows = [
            row
            for row in _rows(self.folder)
            if row.experiment == self.experiment and row.variant in variants
        ]
        lines = [
            [self.corner, *(column.heading for _, column in self.columns)],
            ["---", *["---:"] * len(self.columns)],
        ]
        for model in self.models or dict.fromkeys(row.model for row in rows):
            lines.append([_shown(model), *self._cells(rows, model)])
        lines += [[text and f"*{text}*" for text in line] for line in self.last]
        return pipe_table([words.get(cell, cell) for cell in line] for line in lines)

    def _cells(self, rows: Sequence[Row], model: str) -> Iterator[str]:
        for variant, column in self.columns:
            those = [row for row in rows if (row.variant, row.model) == (variant, model)]
            summary = summarise(those, column.metric) or summarise(those, column.substitute)
            yield _format(column, summary) if summary else ""


def rewrite(page: str, words: Mapping[str, str] = types.MappingProxyType({})) -> str:
    """The page with its tables as the committed results, the commands and the package have them.

    Args:
        page: its text.
        words: what stands in place of a cell of a table of results.

    Raises:
        ValueError: a table that is not known.
    """

    def text(place: re.Match) -> str:
        if place[2] in TABLES:
            return f"{place[1]}{TABLES[place[2]].markdown(words)}{place[3]}"
        if place[2] in TEXTS:
            return f"{place[1]}{TEXTS[place[2]]()}{place[3]}"
        raise ValueError(f"a table must be one of {sorted([*TABLES, *TEXTS])}, got {place[2]!r}")

    return _PLACE.sub(text, page)


def words_of(page: Path) -> Mapping[str, str]:
    """What the tables of that page are translated with."""
    return WORDS if page == KOREAN else {}


def names() -> str:
    """The public names, each with the first line of its documentation."""
    lines = [["name", "what it is"], ["---", "---"]]
    for name in vae_topk_jax.__all__:
        value = getattr(vae_topk_jax, name)
        if not isinstance(value, types.ModuleType):
            lines.append([f"`{name}`", _first_sentence(value)])
            continue
        for function in vars(value).values():
            if inspect.isfunction(function) and function.__module__ == value.__name__:
                lines.append([f"`{name}.{function.__name__}`", _first_sentence(function)])
    return pipe_table(lines)


def _first_sentence(value: object) -> str:
    return " ".join((value.__doc__ or "").strip().partition("\n\n")[0].split())


def _shown(model: str) -> str:
    rule, _, ranking = model.partition(": ")
    return _SHOWN.get(model) or (f"{_RULES[rule]}, {ranking}" if rule in _RULES else model)


def _format(column: Column, summary: Summary) -> str:
    has_interval = summary.n >= _MIN_SEEDS and column.better != "neither"
    return column.format(summary if has_interval else summary._replace(half_width=None))


@functools.cache
def _rows(folder: str) -> Sequence[Row]:
    return read_results(_RESULTS / folder).rows


def _in(variant: str, *metrics: str) -> list[tuple[str, Column]]:
    return [(variant, _COLUMNS[metric]) for metric in metrics]


def _sparse(k: int) -> tuple[str, ...]:
    return (*trained_models(4 * k, k), pca_title(k))


def _table1(variant: str, *last: Sequence[str]) -> PageTable:
    columns = _in(variant, *_RECONSTRUCTED, "fid_clf_prior", "fid_clf_mixture", *_USED)
    models = ("train images (floor)", *_sparse(8), pca_title(64))
    return PageTable("paper", "table1", columns, variant, models, last)


def _paper_table1(model: str, active: str) -> list[str]:
    cells = PAPER_TABLE1[model]
    psnr, ssim, fid = (cells[name].mean for name in ("psnr", "ssim", "fid"))
    return [
        f"the paper, {model}",
        f"{psnr:.2f}",
        f"{ssim:.3f}",
        f"Inception FID {fid:.1f}",
        "",
        active,
        "",
    ]


def _paper_table2(model: str) -> list[str]:
    cells = PAPER_TABLE2[model]
    figures = [f"{cells[metric].mean:.4f}" for metric in _NOISY]
    return [f"the paper, {model} (protocol not said)", *figures, "", "", ""]


def _collapse(body: collapse.Body) -> PageTable:
    regimes = [
        f"pixels {pixels}, KL {latents}"
        for pixels, latents in itertools.product(collapse.REDUCTIONS.values(), repeat=2)
    ]
    columns = [
        (f"{body}, {regime}", replace(_COLUMNS["psnr"], title=regime, unit=""))
        for regime in regimes
    ]
    models = (LITERAL, DIMENSION, ELEMENT, pca_title(8))
    return PageTable("collapse", "collapse", columns, f"PSNR in dB, {body}", models)


def _speed(
    experiment: str, corner: str, variants: Mapping[str, str], *metrics: str, folder: str = "bench"
) -> PageTable:
    """Of the bench; variants: variant -> what stands before the titles of its columns."""
    columns = []
    for (variant, start), metric in itertools.product(variants.items(), metrics):
        column = _SPEED[experiment, metric]
        title = f"{start}, {column.title}" if start and len(metrics) > 1 else start or column.title
        columns.append((variant, replace(column, title=title)))
    return PageTable(folder, experiment, columns, corner)


_FULL = PRESETS["full"]
_SHAPES = {f"({size}, {latents})": f"({size}, {latents})" for size, latents in _FULL.bottlenecks}
_DECODERS = {
    f"batch {size}, {k} of {latents:,} latents to {inputs} values": f"{k} of {latents:,}"
    for size, latents, inputs, k in _FULL.decoders
}
_BATCHES = {f"batch of {size:,}": f"batch of {size:,}" for size in _FULL.batches}
_STEPS = {"beta-VAE": "beta-VAE", DIMENSION: "by dimension", ELEMENT: "by element"}
_MLP, _CONV = "MLP 512-256", "convolutional 32-64"
_CURVES = [f"examples_per_second_{name}" for name in ("beta", "dimension", "element")]

TABLES = {
    "table1-averaged": _table1(
        "averaged KL", _paper_table1("beta-VAE", "64"), _paper_table1("Batch Top-K", "8")
    ),
    "table1-summed": _table1("summed KL"),
    "table2": PageTable(
        "paper",
        "table2",
        _in("trained on clean images", *_NOISY) + _in("trained to denoise", *_NOISY),
        "trained on clean images (left), to denoise (right)",
        (*_sparse(4)[:-1], ANNEALED, pca_title(4), pca_title(256), "classifier on the noisy image"),
        [_paper_table2("beta-VAE"), _paper_table2("Batch Top-K")],
    ),
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
        (
            *("element: |mu|", "element: |mu|, revival", "element: |mu|, K annealed"),
            "element: |mu|, KL of active only",
        ),
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
    "speed-training": _speed(
        "bench_training",
        "MLP 784-512-256, 60,000 images",
        {_MLP: ""},
        *("examples_per_second", "seconds_epoch", "gflops", "share_of_products", "share_of_square"),
    ),
    "speed-conv": _speed(
        "bench_training",
        "convolutions 32-64, 12,800 images",
        {_CONV: ""},
        *("examples_per_second", "seconds_epoch"),
    ),
    "speed-profile-before": _speed(
        "bench_profile", "before", _STEPS, "ms_step", "share", folder="bench-before"
    ),
    "speed-profile": _speed("bench_profile", "after", _STEPS, "ms_step", "share"),
    "speed-machine": _speed("bench_machine", "", {"matrix products, float32": ""}, "gflops"),
    "speed-copies": _speed("bench_machine", "", {"bandwidth": ""}, "gbytes_per_second"),
    "speed-bottleneck": _speed("bench_bottleneck", "(B, D)", _SHAPES, "ms"),
    "speed-threshold": _speed("bench_threshold", "(B, D)", _SHAPES, "ms"),
    "speed-decoding": _speed("bench_decoding", "", _DECODERS, "ms"),
    "speed-serving": _speed("bench_serving", "", _BATCHES, "ms", "images_per_second"),
    "speed-restoring": _speed(
        "bench_restoring", "", {"MLP": "MLP", "dictionary": "dictionary"}, "ms", "megabytes"
    ),
    "speed-startup": _speed("bench_startup", "a process that ends after", {"": ""}, "seconds"),
    "speed-memory": _speed("bench_memory", "an epoch of", {"": ""}, "peak_mib"),
    "speed-batch": _speed("bench_growth", "B", {"batch size": ""}, *_CURVES),
    "speed-latents": _speed("bench_growth", "D", {"latent dimensions": ""}, *_CURVES),
    "speed-k": _speed("bench_growth", "K of 64", {"K of 64": ""}, *_CURVES),
    "speed-seeds": _speed(
        "bench_seeds", "", _STEPS, "seconds_together", "seconds_in_turn", "together_over_in_turn"
    ),
}


TEXTS: Mapping[str, Callable[[], str]] = {
    **flags.TABLES,
    "names": names,
    "targets": lambda: targets(_rows("bench")),
}


def main() -> None:
    """Writes the tables of all pages."""
    for page in PAGES:
        text = rewrite(page.read_text(encoding="utf-8"), words_of(page))
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
