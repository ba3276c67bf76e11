"""Writes the tables of the README and of the documentation from the committed results.

    python -m experiments.pages

A table stands between `<!-- results NAME -->` and `<!-- end -->`, NAME a key of `TABLES`.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments import ablation, cli, collapse, compare
from experiments.activations import PENULTIMATE, PIXELS
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
from experiments.tables import Column

_ROOT = Path(__file__).parents[1]
_RESULTS = _ROOT / "experiments" / "results"
PAGES = (_ROOT / "README.md", _ROOT / "docs" / "method.md", _ROOT / "docs" / "systems.md")
_PLACE = re.compile(r"(<!-- results ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MIN_SEEDS = 3  # for an interval

_COLUMNS = {
    column.metric: column
    for group in (QUALITY, GENERATION, COMPARISON, RATE, LIKELIHOOD, SAE, STITCHED, [CHURN])
    for column in group
}
_COLUMNS |= {column.metric: replace(column, decimals=3) for column in ACCURACY}
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
    "dimension: KL": "by dimension, KL",
    "dimension: fixed at random": "by dimension, fixed at random",
    "element: |z|": "by element, |z|",
    "element: |mu|": "by element, |mu|",
    "element: |mu| x sensitivity": "**by element, |mu| x sensitivity (default)**",
    "sample: |mu| x sensitivity": "per sample, |mu| x sensitivity",
}
_ABLATED = ("beta-VAE", "dense VAE, 8 latents", pca_title(8), *list(_SHOWN)[4:])


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

    def markdown(self) -> str:
        """The table's lines."""
        rows = [row for row in _rows(self.folder) if row.experiment == self.experiment]
        lines = [
            [self.corner, *(column.heading for _, column in self.columns)],
            ["---", *["---:"] * len(self.columns)],
        ]
        for model in self.models or dict.fromkeys(row.model for row in rows):
            lines.append([_SHOWN.get(model, model), *self._cells(rows, model)])
        lines += [[text and f"*{text}*" for text in line] for line in self.last]
        return "".join(f"| {' | '.join(map(_escape, line))} |\n" for line in lines)

    def _cells(self, rows: Sequence[Row], model: str) -> Iterator[str]:
        for variant, column in self.columns:
            those = [row for row in rows if (row.variant, row.model) == (variant, model)]
            summary = summarise(those, column.metric) or summarise(those, column.substitute)
            yield _format(column, summary) if summary else ""


def rewrite(page: str) -> str:
    """The page with its tables as the committed results have them.

    Raises:
        ValueError: a table that is not in `TABLES`.
    """

    def table(place: re.Match) -> str:
        if place[2] not in TABLES:
            raise ValueError(f"a table must be one of {sorted(TABLES)}, got {place[2]!r}")
        return f"{place[1]}{TABLES[place[2]].markdown()}{place[3]}"

    return _PLACE.sub(table, page)


def _format(column: Column, summary: Summary) -> str:
    has_interval = summary.n >= _MIN_SEEDS and column.better != "neither"
    return column.format(summary if has_interval else summary._replace(half_width=None))


def _escape(text: str) -> str:
    return text.replace("|", r"\|")


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
        tuple(_ABLATED),
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
}


def main() -> None:
    """Writes the tables of all pages."""
    for page in PAGES:
        page.write_text(rewrite(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    cli.run(main)
