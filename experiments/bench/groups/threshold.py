"""The search for the threshold by element, beside other ways to the same mask."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.bench.bench import MS, Bench
from experiments.bench.clock import Seconds
from experiments.bench.groups.bottleneck import k_of
from experiments.reporting.layout import Experiment
from vae_topk_jax.element import element_top_k
from vae_topk_jax.ranking import nth_largest_float, nth_largest_sorted

LAYOUT = Experiment(
    "bench_threshold",
    "Speed: the threshold by element",
    "The mask of the B k largest of B D scores; all give the same mask. On an accelerator also the "
    "smallest score kept alone, of all scores or of each row.",
    (MS,),
)
BY_ELEMENT, PER_SAMPLE = "smallest score kept by element", "smallest score kept per sample"
_SORTED = 1 << 25  # entries of the largest array that is sorted


def run(bench: Bench) -> None:
    """Adds a row for each way of the search at every size that can be sorted."""
    for size, latents in bench.sizes.bottlenecks:
        if size * latents <= _SORTED:
            _run_size(bench, size, latents)
    if jax.default_backend() != "cpu":
        for size, latents in bench.sizes.searches:
            race_searches(bench, size, latents)


def race_searches(bench: Bench, size: int, latents: int) -> None:
    """Adds a row for each way to the smallest score kept, of all scores and of each row's."""
    k = k_of(latents)
    x_BxD = jnp.abs(jax.random.normal(jax.random.key(0), (size, latents)))
    ways: dict[str, Callable[[Array, Array], Array]] = {
        "digits of four bits": nth_largest_float,
        "digits of two bits": functools.partial(nth_largest_float, digit=2),
        "sort": nth_largest_sorted,
    }
    for variant, n in {
        BY_ELEMENT: jnp.int32(k * size),
        PER_SAMPLE: jnp.full((size, 1), k, jnp.int32),
    }.items():
        contestants = {
            title: functools.partial(jax.jit(way).lower(x_BxD, n).compile(), x_BxD, n)
            for title, way in ways.items()
        }
        found = [np.asarray(contestant()) for contestant in contestants.values()]
        assert all(np.array_equal(found[0], other) for other in found)
        settings = {"k": k}
        bench.race(LAYOUT.name, f"{variant}, ({size}, {latents})", contestants, settings, _describe)


def _run_size(bench: Bench, size: int, latents: int) -> None:
    k = k_of(latents)
    scores_BxD = jnp.abs(jax.random.normal(jax.random.key(0), (size, latents)))
    host_BxD = np.asarray(scores_BxD)
    contestants: dict[str, Callable[[], object]] = {
        title: functools.partial(program, scores_BxD)
        for title, program in {
            "counts over the bits (ours)": jax.jit(lambda x_BxD: element_top_k(x_BxD, k).mask_BxD),
            "top_k": jax.jit(lambda x_BxD: x_BxD >= jax.lax.top_k(x_BxD.ravel(), k * size)[0][-1]),
            "sort": jax.jit(lambda x_BxD: x_BxD >= jnp.sort(x_BxD.ravel())[-k * size]),
            "histogram of digits": jax.jit(lambda x_BxD: x_BxD >= _by_digits(x_BxD, k * size)),
        }.items()
    }
    contestants["numpy.partition"] = lambda: (
        host_BxD >= np.partition(host_BxD.ravel(), -k * size)[-k * size]
    )
    check_masks(host_BxD, contestants)
    bench.race(LAYOUT.name, f"({size}, {latents})", contestants, {"k": k}, _describe)


def _describe(model: str, seconds: Mapping[str, Seconds]) -> dict[str, float]:
    return {"ms": 1e3 * seconds[model].median}


def check_masks(scores_BxD: np.ndarray, contestants: Mapping[str, Callable[[], Any]]) -> None:
    """Raises AssertionError unless all give the same mask, but for scores that tie with the
    smallest one kept: the first contestant keeps some of those, the others may keep all."""
    masks = [np.asarray(contestant(), bool) for contestant in contestants.values()]
    smallest = scores_BxD[masks[0]].min()
    for mask in masks[1:]:
        assert np.all(scores_BxD[mask != masks[0]] == smallest)
        assert np.all(mask[masks[0]])


def _by_digits(scores_BxD: Array, places: int) -> Array:
    """The score in this place from above, digit by digit of eight bits; scores are positive."""
    bits_N = jax.lax.bitcast_convert_type(scores_BxD.ravel(), jnp.uint32)
    found, left = jnp.uint32(0), jnp.int32(places)
    alike_N = jnp.ones(bits_N.shape, bool)
    for shift in (24, 16, 8, 0):
        digit_N = ((bits_N >> shift) & 255).astype(jnp.int32)
        counts = jnp.zeros(256, jnp.int32).at[digit_N].add(alike_N.astype(jnp.int32))
        above = jnp.cumsum(counts[::-1])[::-1] - counts
        digit = jnp.argmax(above < left)  # the first digit with fewer above it than are sought
        left -= above[digit]
        alike_N &= digit_N == digit
        found |= digit.astype(jnp.uint32) << shift
    return jax.lax.bitcast_convert_type(found, jnp.float32)
