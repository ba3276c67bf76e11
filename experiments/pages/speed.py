"""The tables of the bench."""

import functools
import itertools
from collections.abc import Mapping
from dataclasses import replace

from experiments.bench.groups.threshold import BY_ELEMENT, PER_SAMPLE
from experiments.bench.http_load import PATHS
from experiments.bench.registry import LAYOUTS
from experiments.bench.sizes import PRESETS
from experiments.bench.targets import CONV, MLP
from experiments.pages.table import PageTable
from experiments.study.lineup import DIMENSION, ELEMENT

_SPEED = {(layout.name, column.metric): column for layout in LAYOUTS for column in layout.columns}


def _speed(
    experiment: str,
    corner: str,
    variants: Mapping[str, str],
    *metrics: str,
    folder: str = "bench",
) -> PageTable:
    """Of the bench; variants: variant -> what stands before the titles of its columns."""
    columns = []
    for (variant, start), metric in itertools.product(variants.items(), metrics):
        column = _SPEED[experiment, metric]
        title = f"{start}, {column.title}" if start and len(metrics) > 1 else start or column.title
        columns.append((variant, replace(column, title=title)))
    return PageTable(folder, experiment, columns, corner)


_on_h200 = functools.partial(_speed, folder="bench_h200")


def _ahead(variant: str, *metrics: str) -> PageTable:
    """Of programs that were compiled for these devices and not run."""
    columns = [(variant, _SPEED["ahead_of_time", metric]) for metric in metrics]
    return PageTable("ahead_of_time", "ahead_of_time", columns, variant)


_AHEAD = ("memory_mb", "temporaries_mb", "read_mb", "written_mb", "gflop", "bound_ms")
_ALONE = (*_AHEAD, "largest_sort")
_TOGETHER = (*_AHEAD, "all_reduces", "all_reduce_bytes", "all_gathers")
_FULL = PRESETS["full"]
_SHAPES = {f"({size}, {latents})": f"({size}, {latents})" for size, latents in _FULL.bottlenecks}
_DECODERS = {
    f"batch {size}, {k} of {latents:,} latents to {inputs} values": f"{k} of {latents:,}"
    for size, latents, inputs, k in _FULL.decoders
}
_DICTIONARIES = {
    dtype: {
        f"({size}, {inputs}, {latents}), {dtype}": f"({size}, {inputs}, {latents})"
        for size, inputs, latents, _ in _FULL.dictionaries
    }
    for dtype in ("float32", "bfloat16")
}
_DICTIONARY = ("ms", "over_ours", "gflops", "share_of_square")
_SEARCHES = {
    rule: {
        f"{rule}, ({size}, {latents})": f"({size}, {latents})" for size, latents in _FULL.searches
    }
    for rule in (BY_ELEMENT, PER_SAMPLE)
}
_BATCHES = {f"batch of {size:,}": f"batch of {size:,}" for size in _FULL.batches}
_STEPS = {"beta-VAE": "beta-VAE", DIMENSION: "by dimension", ELEMENT: "by element"}
_CURVES = [f"examples_per_second_{name}" for name in ("beta", "dimension", "element")]

TABLES = {
    "speed-training": _speed(
        "bench_training",
        "MLP 784-512-256, 60,000 images",
        {MLP: ""},
        *("examples_per_second", "seconds_epoch", "gflops", "share_of_products", "share_of_square"),
    ),
    "speed-conv": _speed(
        "bench_training",
        "convolutions 32-64, 12,800 images",
        {CONV: ""},
        *("examples_per_second", "seconds_epoch"),
    ),
    "speed-profile": _speed("bench_profile", "", _STEPS, "ms_step", "share"),
    "speed-machine": _speed("bench_machine", "", {"matrix products, float32": ""}, "gflops"),
    "speed-copies": _speed("bench_machine", "", {"bandwidth": ""}, "gbytes_per_second"),
    "speed-bottleneck": _speed("bench_bottleneck", "(B, D)", _SHAPES, "ms"),
    "speed-threshold": _speed("bench_threshold", "(B, D)", _SHAPES, "ms"),
    "speed-decoding": _speed("bench_decoding", "", _DECODERS, "ms"),
    "speed-dictionary": _speed(
        "bench_dictionary",
        "(batch, inputs, latents)",
        _DICTIONARIES["float32"],
        *_DICTIONARY,
    ),
    "speed-serving": _speed("bench_serving", "", _BATCHES, "ms", "images_per_second"),
    "speed-load": _speed(
        "bench_load",
        "",
        {path: path for path in PATHS},
        *("ms", "ms_99", "requests_per_second", "images_per_second"),
    ),
    "speed-restoring": _speed(
        "bench_restoring", "", {"MLP": "MLP", "dictionary": "dictionary"}, "ms", "megabytes"
    ),
    "speed-startup": _speed("bench_startup", "a process that ends after", {"": ""}, "seconds"),
    "speed-memory": _speed("bench_memory", "an epoch of", {"": ""}, "peak_mib"),
    "speed-batch": _speed("bench_growth", "B", {"batch size": ""}, *_CURVES),
    "speed-latents": _speed("bench_growth", "D", {"latent dimensions": ""}, *_CURVES),
    "speed-k": _speed("bench_growth", "K of 64", {"K of 64": ""}, *_CURVES),
    "speed-seeds": _speed(
        "bench_seeds", "", _STEPS, "seconds_together", "together_over_in_turn", "first_over_in_turn"
    ),
    "speed-exchanges": _speed(
        "bench_exchanges",
        "model",
        {"": ""},
        *("all_reduces", "all_reduce_bytes", "all_gathers", "all_gather_bytes"),
        *("all_reduces_in_branches", "all_gather_bytes_in_branches"),
    ),
    "h200-training": _on_h200(
        "bench_training",
        "MLP 784-512-256, 59,904 images",
        {MLP: ""},
        *("examples_per_second", "seconds_epoch", "over_beta"),
    ),
    "h200-bottleneck": _on_h200("bench_bottleneck", "(B, D)", _SHAPES, "ms"),
    **{
        f"h200-search-{name}": _on_h200("bench_threshold", f"{rule}, (B, D)", _SEARCHES[rule], "ms")
        for name, rule in (("element", BY_ELEMENT), ("sample", PER_SAMPLE))
    },
    **{
        f"h200-dictionary-{dtype}": _on_h200("bench_dictionary", dtype, variants, *_DICTIONARY)
        for dtype, variants in _DICTIONARIES.items()
    },
    "h200-decoding": _on_h200("bench_decoding", "", _DECODERS, "ms"),
    "ahead-v5e": _ahead("TPU v5e", *_ALONE),
    "ahead-v6e": _ahead("TPU v6e", *_ALONE),
    "ahead-h100": _ahead("H100 SXM", *_ALONE),
    "ahead-4-v5e": _ahead("4 TPU v5e", *_TOGETHER),
    "ahead-4-h100": _ahead("4 H100 SXM", *_TOGETHER),
}
