"""What is read in the text of compiled programs, by hand-made texts and by hand."""

import pytest

from experiments.bench.compiled.chips import CHIPS
from experiments.bench.compiled.exchanges import count_exchanges
from experiments.bench.compiled.facts import text_facts
from experiments.bench.compiled.hlo import Hlo
from experiments.bench.compiled.products import product_flops
from experiments.bench.compiled.programs import IMAGE_SHAPE, LATENT_DIM
from experiments.bench.compiled.traffic import Traffic, traffic
from experiments.bench.products import products_of
from experiments.records.rows import read_results
from experiments.study.lineup import BASELINE, ELEMENT
from tests.helpers.markdown import ROOT
from vae_topk_jax.config import Config


def traffic_of(body: str, fused: str = "") -> Traffic:
    return traffic(Hlo.parse(f"{fused}\nENTRY %main (x: f32[8]) -> f32[8] {{\n{body}\n}}\n"))


def test_a_loop_counts_for_each_turn_whether_its_length_is_annotated_or_in_its_condition():
    loop = """
%turn (x: (s32[], f32[1000])) -> (s32[], f32[1000]) {
  %x = (s32[], f32[1000]{0}) parameter(0)
  %a = f32[1000]{0} get-tuple-element(%x), index=1
  %b = f32[1000]{0} negate(%a)
  ROOT %y = (s32[], f32[1000]{0}) tuple(%i, %b)
}

%more (x: (s32[], f32[1000])) -> pred[] {
  %x = (s32[], f32[1000]{0}) parameter(0)
  %limit = s32[] constant(32)
  %i = s32[] get-tuple-element(%x), index=0
  ROOT %is_less = pred[] compare(%i, %limit), direction=LT
}
"""
    line = "ROOT %w = (s32[], f32[1000]{0}) while(%t), condition=%more, body=%turn"
    per_turn = 4 * 1000
    conditions = 9  # two int32 are read, one bool is written
    found = traffic_of(line, loop)
    assert found == Traffic(32 * (per_turn + 8), 32 * (per_turn + 1), 0)
    annotated = f'{line}, backend_config={{"known_trip_count":{{"n":"5"}}}}'
    assert sum(traffic_of(annotated, loop)) == 5 * (2 * per_turn + conditions)


def test_branches_are_told_apart():
    branches = """
%yes (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  ROOT %y = f32[8]{0} negate(%x)
}

%no (x: f32[8]) -> f32[8] {
  ROOT %x = f32[8]{0} parameter(0)
}
"""
    line = "ROOT %c = f32[8]{0} conditional(%p, %x, %x), branch_computations={%yes, %no}"
    assert traffic_of(line, branches) == Traffic(0, 0, 64)


def test_a_fusion_moves_the_slices_that_it_uses_and_what_it_replaces_in_place():
    fused = """
%slices (all: f32[60000,784], at: s32[]) -> f32[128,784] {
  %all = f32[60000,784]{1,0} parameter(0)
  %at = s32[] parameter(1)
  %view = f32[60000,784]{1,0} bitcast(%all)
  ROOT %rows = f32[128,784]{1,0} dynamic-slice(%view, %at, %at), dynamic_slice_sizes={128,784}
}

%updates (all: f32[468,64], row: f32[1,64], at: s32[]) -> f32[468,64] {
  %all = f32[468,64]{1,0} parameter(0)
  %row = f32[1,64]{1,0} parameter(1)
  %at = s32[] parameter(2)
  ROOT %new = f32[468,64]{1,0} dynamic-update-slice(%all, %row, %at, %at)
}
"""
    of_rows = 4 * 128 * 784
    found = traffic_of(
        "%all = f32[60000,784]{1,0} parameter(0)\n%at = s32[] parameter(1)\n"
        "ROOT %rows = f32[128,784]{1,0} fusion(%all, %at), kind=kLoop, calls=%slices",
        fused,
    )
    assert found == Traffic(of_rows + 4, of_rows, 0)
    found = traffic_of(
        "%all = f32[468,64]{1,0} parameter(0)\n%row = f32[1,64]{1,0} parameter(1)\n"
        "%at = s32[] parameter(2)\n"
        "ROOT %new = f32[468,64]{1,0} fusion(%all, %row, %at), kind=kLoop, calls=%updates",
        fused,
    )
    assert found == Traffic(4 * 64 + 4, 4 * 64, 0)


def test_what_lies_on_the_chip_is_not_moved():
    found = traffic_of("""
  %x = f32[8,4]{1,0:T(8,128)} parameter(0)
  %s = (f32[8,4]{1,0:T(8,128)S(1)}, f32[8,4]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %d = f32[8,4]{1,0:T(8,128)S(1)} copy-done(%s)
  %y = f32[8,4]{1,0:T(8,128)S(1)} negate(%d)
  %p = ((f32[8,4]{1,0:T(8,128)}), f32[2,4]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%x)
  %q = f32[8,4]{1,0:T(8,128)S(1)} custom-call(%y), custom_call_target="ConcatBitcast"
  ROOT %z = f32[8,4]{1,0:T(8,128)} add(%q, %d)""")
    assert found == Traffic(4 * 8 * 4 + 4 * 2 * 4, 4 * 8 * 4, 0)


def test_sorts_conditions_and_doubles_are_found():
    text = """
ENTRY %main (x: f32[4,100]) -> f32[4,100] {
  %x = f32[4,100]{1,0} parameter(0)
  %s = f32[4,100]{1,0} sort(%x), dimensions={1}, to_apply=%less
  %k = s32[9]{0} custom-call(%x), custom_call_target="Other", metadata={op_name="BatchTopK"}
  ROOT %t = (f32[4,5]{1,0}, s32[4,5]{1,0}) custom-call(%s), custom_call_target="__gpu$TopK"
}
"""
    found = text_facts(text, CHIPS["h100"])
    assert (found["sorts"], found["largest_sort"], found["doubles"]) == (2, 400, 0)
    assert text_facts(text.replace("f32", "f64"), CHIPS["h100"])["doubles"] > 0


def test_products_are_counted_in_loops_and_fusions_and_not_in_branches():
    text = """
%fused (x: bf16[128,784], w: bf16[784,512]) -> f32[128,512] {
  %x = bf16[128,784]{1,0} parameter(0)
  %w = bf16[784,512]{1,0} parameter(1)
  ROOT %y = f32[128,512]{1,0} convolution(%x, %w), dim_labels=bf_io->bf
}

%other (w: bf16[784,512]) -> f32[] {
  %w = bf16[784,512]{1,0} parameter(0)
  ROOT %y = f32[512,512]{1,0} dot(%w, %w), lhs_contracting_dims={0}, rhs_contracting_dims={0}
}

ENTRY %main (x: bf16[128,784], w: bf16[784,512]) -> f32[128,512] {
  %x = bf16[128,784]{1,0} parameter(0)
  %w = bf16[784,512]{1,0} parameter(1)
  %y = f32[128,512]{1,0} fusion(%x, %w), kind=kOutput, calls=%fused
  %a = f32[4,32,784]{2,1,0} parameter(2)
  %b = f32[4,32,512]{2,1,0} parameter(3)
  %k = f32[4,784,512]{2,1,0} dot(%a, %b), lhs_batch_dims={0}, lhs_contracting_dims={1}
  ROOT %c = f32[] conditional(%p, %w, %w), branch_computations={%other, %other}
}
"""
    by_hand = 2 * 128 * 784 * 512 + 2 * (4 * 784 * 512) * 32
    assert product_flops(Hlo.parse(text)) == by_hand
    library = text.replace(" dot(", " custom-call(").replace(
        "lhs_batch_dims={0}", 'custom_call_target="__cublas$gemm"'
    )
    with pytest.raises(ValueError, match=r"the products of __cublas\$gemm cannot be counted"):
        product_flops(Hlo.parse(library))


def test_what_starts_an_exchange_counts_once():
    found = count_exchanges(
        Hlo.parse("""
ENTRY %main (x: f32[4]) -> f32[8] {
  %x = f32[4]{0} parameter(0)
  %s = f32[4]{0} all-reduce-start(%x), to_apply=%add
  %t = ((f32[4]{0}), f32[4]{0}) all-reduce-start(%x), to_apply=%add
  %u = f32[4]{0} all-reduce-done(%t)
  %g = (f32[4]{0}, f32[8]{0}) all-gather-start(%u), dimensions={0}
  ROOT %y = f32[8]{0} all-gather-done(%g)
}
""")
    )
    assert found == {
        "all_reduces": 2,
        "all_reduce_bytes": 2 * 16,
        "all_gathers": 1,
        "all_gather_bytes": 32,
    }


PARAMETERS = (
    *(784 * 512 + 512, 512 * 256 + 256),
    *(2 * (256 * 64 + 64), 64 * 256 + 256),
    *(256 * 512 + 512, 512 * 784 + 784),
)


@pytest.mark.parametrize("chip", ["TPU v5e", "TPU v6e"])
def test_the_page_recomputes_four_programs_by_hand(chip):
    rows = read_results(ROOT / "experiments" / "results" / "ahead_of_time").rows
    found = {row.model: row.metrics for row in rows if row.variant == chip}
    adam = 3 * 4 * sum(PARAMETERS) / 1e6  # parameters and two moments, once
    assert adam == pytest.approx(13.39872)
    step = found[f"step, {BASELINE}, float32"]
    assert step["written_mb"] == pytest.approx(adam, rel=1e-4)
    config = Config(model="beta_vae", latent_dim=LATENT_DIM)
    flops = sum(product.flops for product in products_of(config, IMAGE_SHAPE))
    assert step["gflop"] == pytest.approx(flops / 1e9, rel=1e-6)
    array = 4 * 65536 * 16384 / 1e6
    by_dimension = found["bottleneck by dimension, (65536, 16384)"]
    assert by_dimension["read_mb"] == pytest.approx(2 * array, rel=1e-4)
    assert by_dimension["written_mb"] == pytest.approx(array, rel=1e-4)
    by_element = found["bottleneck by element, (65536, 16384)"]
    kept, counted, sample = 8 * 4 * 65536 * 128 / 1e6, 4 * 65536 * 128 / 1e6, 4 * 2**20 / 1e6
    read = 3 * array + 9 * kept + counted + sample
    assert by_element["read_mb"] == pytest.approx(read, rel=1e-4)
    assert by_element["written_mb"] == pytest.approx(2 * array + kept, rel=1e-4)
    encoder = 784 * 512 + 512 + 512 * 256 + 256 + 256 * 64 + 64
    images, codes = 1024 * 784, 1024 * 64
    encode = found[f"encode, {ELEMENT}, float32"]
    assert encode["read_mb"] == pytest.approx(4 * (encoder + images) / 1e6, rel=1e-3)
    assert encode["written_mb"] == pytest.approx(4 * codes / 1e6, rel=1e-3)
