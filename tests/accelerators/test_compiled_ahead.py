"""The programs as the compilers of TPUs and GPUs make them; nothing runs.

Needs the extra `aot`. One process at a time may use the compiler of TPUs.
"""

import math

import pytest

from experiments.bench.compiled.chips import CHIPS
from experiments.bench.groups.ahead_of_time import compile_ahead
from experiments.bench.sizes import PRESETS
from experiments.study.lineup import BASELINE, DIMENSION, ELEMENT, SAMPLE
from vae_topk_jax.extras import install_advice

pytestmark = pytest.mark.long

BETA, BY_DIMENSION, BY_ELEMENT, PER_SAMPLE = (
    f"step, {model}, float32" for model in (BASELINE, DIMENSION, ELEMENT, SAMPLE)
)
IN_BFLOAT16 = f"step, {ELEMENT}, bfloat16"
LAYER = "bottleneck by {}, (65536, 16384)"
LAYER_BY_DIMENSION, LAYER_BY_ELEMENT = (LAYER.format(rule) for rule in ("dimension", "element"))
DICTIONARY = "step, dictionary, float32"
STEPS = (BETA, BY_DIMENSION, BY_ELEMENT, PER_SAMPLE, IN_BFLOAT16)
LAYERS = (LAYER_BY_DIMENSION, LAYER_BY_ELEMENT)
ARRAY = 4 * 65536 * 16384 / 1e6
STATE = 12 * 1_116_560 / 1e6  # parameters and two moments of the MLP


def metrics(name, count, titles):
    chip = CHIPS[name]
    if not chip.is_installed:
        pytest.skip(f"{chip.compiler} is not installed: {install_advice('aot')}")
    told = compile_ahead(name, count, PRESETS["full"], titles)
    return {program["title"]: program.get("metrics", program) for program in told}


@pytest.fixture(scope="module", params=["v5e", "h100"])
def alone(request):
    return metrics(request.param, 1, (*STEPS, *LAYERS))


@pytest.fixture(scope="module", params=["v5e", "h100"])
def four(request):
    return metrics(request.param, 4, (*STEPS, DICTIONARY))


def test_a_step_replaces_its_state(alone):
    for title in STEPS:
        assert alone[title]["aliased_mb"] >= STATE, title
        held_twice = alone[title]["outputs_mb"] - alone[title]["aliased_mb"]
        assert held_twice < 0.01, title


def test_there_are_no_conditions_without_need_and_no_doubles(alone):
    for title in (BETA, BY_DIMENSION):
        assert "conditionals" not in alone[title], title
    assert not any("doubles" in program for program in alone.values())


def test_nothing_large_is_sorted_and_everything_fits_16_gb(alone):
    for title, program in alone.items():
        assert program.get("largest_sort", 0) < 1e6, title
        assert program["memory_mb"] < 16_200, title


def test_the_traffic_does_not_grow(alone):
    by_dimension, by_element = (alone[title] for title in LAYERS)
    assert by_dimension["read_mb"] == pytest.approx(2 * ARRAY, rel=0.01)
    assert by_dimension["written_mb"] == pytest.approx(ARRAY, rel=0.01)
    assert by_element["read_mb"] + by_element["written_mb"] < 41 * ARRAY
    for title in (BY_DIMENSION, BY_ELEMENT):
        assert alone[title]["read_mb"] < 1.1 * alone[BETA]["read_mb"], title


def test_four_devices_reduce_gradients_and_statistics_and_gather_nothing(four):
    gradients = 4 * 1_116_560
    for title in STEPS:
        assert four[title]["all_reduce_bytes"] < gradients + 16 * 1024, title
        assert four[title]["all_reduces"] <= (40 if "element" in title else 6), title
    for title, program in four.items():
        assert not any(name.startswith("all_gather") for name in program), title
        assert "all_to_alls" not in program, title
    assert four[DICTIONARY]["memory_mb"] < 16_000
    assert math.isfinite(four[DICTIONARY]["bound_ms"])
