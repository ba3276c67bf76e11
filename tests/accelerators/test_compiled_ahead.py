"""The programs as the compilers of TPUs and GPUs make them; nothing runs.

Needs the extra `aot`. One process at a time may use the compiler of TPUs.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from experiments.bench.compiled.chips import CHIPS, Chip
from experiments.bench.groups.ahead_of_time import compile_ahead
from experiments.bench.sizes import PRESETS
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, SAMPLE
from vae_topk_jax.extras import install_advice

pytestmark = pytest.mark.long

BETA, BY_DIMENSION, BY_ELEMENT, PER_SAMPLE = (
    f"step, {model}, float32" for model in (BASELINE, DIMENSION, ELEMENT, SAMPLE)
)
STEPS = (BETA, BY_DIMENSION, BY_ELEMENT, PER_SAMPLE)
IN_BFLOAT16 = f"step, {ELEMENT}, bfloat16"
LAYERS = tuple(f"bottleneck by {rule}, (65536, 16384)" for rule in ("dimension", "element"))
DICTIONARY = "step, dictionary, float32"
PARAMETERS = 1_116_560
ARRAY_MB = 4 * 65536 * 16384 / 1e6


class Compiled(NamedTuple):
    """Programs for some devices: title -> metrics, or why there is none."""

    chip: Chip
    programs: Mapping[str, Mapping[str, float]]


def compiled(name, count, titles):
    chip = CHIPS[name]
    if not chip.is_installed:
        pytest.skip(f"{chip.compiler} is not installed: {install_advice('aot')}")
    told = compile_ahead(name, count, PRESETS["full"], titles)
    return Compiled(chip, {program["title"]: program.get("metrics", program) for program in told})


@pytest.fixture(scope="module", params=["v5e", "h100"])
def alone(request):
    return compiled(request.param, 1, (*STEPS, IN_BFLOAT16, *LAYERS))


@pytest.fixture(scope="module", params=["v5e", "h100"])
def four(request):
    return compiled(request.param, 4, (*STEPS, IN_BFLOAT16, DICTIONARY))


def test_a_step_replaces_its_state(alone):
    state_mb = 3 * 4 * PARAMETERS / 1e6  # parameters and two moments
    for title in (*STEPS, IN_BFLOAT16):
        step = alone.programs[title]
        assert step["aliased_mb"] >= state_mb, title
        assert step["outputs_mb"] - step["aliased_mb"] < 0.01, title


def test_the_dense_vae_has_no_condition_and_nothing_is_float64(alone):
    for title in (BETA, BY_DIMENSION):
        assert "conditionals" not in alone.programs[title], title
    assert not any("doubles" in program for program in alone.programs.values())


def test_nothing_large_is_sorted_and_everything_fits(alone):
    for title, program in alone.programs.items():
        assert program.get("largest_sort", 0) < 1e6, title
        assert program["memory_mb"] < alone.chip.memory / 1e6, title


def test_the_traffic_does_not_grow(alone):
    by_dimension, by_element = (alone.programs[title] for title in LAYERS)
    assert by_dimension["read_mb"] == pytest.approx(2 * ARRAY_MB, rel=0.01)
    assert by_dimension["written_mb"] == pytest.approx(ARRAY_MB, rel=0.01)
    moved, is_tpu = by_element["read_mb"] + by_element["written_mb"], bool(alone.chip.topology)
    assert moved < (6 if is_tpu else 24) * ARRAY_MB  # digits of two bits read it 16 times
    assert by_element.get("conditionals", 0) == is_tpu  # where one pass is not enough
    for title in (BY_DIMENSION, BY_ELEMENT):
        assert alone.programs[title]["read_mb"] < 1.1 * alone.programs[BETA]["read_mb"], title


def test_four_devices_reduce_gradients_and_statistics_and_gather_no_more_than_counts(four):
    for title in STEPS:
        step = four.programs[title]
        assert step["all_reduce_bytes"] < 4 * PARAMETERS + 16 * 1024, title
        assert step["all_reduces"] <= (40 if ELEMENT in title else 6), title
    for title, program in four.programs.items():
        exchanges = {name for name in program if name.startswith("all_")}
        assert {"all_reduces", "all_reduce_bytes"} <= exchanges, title
        assert program.get("all_gather_bytes", 0) <= 2 * 4 * 65536, title  # how many tie in a row
        assert "all_gather_bytes_in_branches" not in exchanges, title
        assert program["memory_mb"] < four.chip.memory / 1e6, title
