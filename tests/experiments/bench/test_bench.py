"""The bench: what it measures, never how fast it was."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.bench.__main__ import main
from experiments.bench.bench import Bench, over_rounds
from experiments.bench.clock import Seconds, alternate
from experiments.bench.compiled.chips import CHIPS
from experiments.bench.compiled.exchanges import count_exchanges
from experiments.bench.compiled.hlo import Hlo
from experiments.bench.groups import ahead_of_time, decoding, exchanges, memory, seeds, threshold
from experiments.bench.groups.threshold import check_masks
from experiments.bench.peers.pytorch import TorchRun
from experiments.bench.products import products_alone, products_of
from experiments.bench.registry import GROUPS, LAYOUTS
from experiments.bench.sizes import PRESETS
from experiments.bench.targets import CONV, MLP, RATIOS, ratios
from experiments.records.intervals import summarise
from experiments.records.rows import ResultsFile, read_results
from experiments.reporting.tables import Column
from experiments.study.lineup import BASELINE
from tests.helpers.report_rows import make_row
from tests.helpers.runs import SMALL
from vae_topk_jax.data import load_dataset
from vae_topk_jax.training import Trainer


@pytest.mark.long
def test_the_whole_bench_measures_every_group(tmp_path, monkeypatch):
    for group in (memory, exchanges, seeds):  # a process each
        monkeypatch.setattr(group, "lineup", lambda config: {BASELINE: config})
    groups = [name for name in GROUPS if name != "ahead_of_time"]  # tests/accelerators
    main(preset="tiny", data="embedded", out=tmp_path, only=tuple(groups))
    rows = read_results(tmp_path).rows
    measured = {GROUPS[name].LAYOUT.name for name in groups}
    assert {row.experiment for row in rows} == measured
    for row in rows:
        assert row.metrics, row.model
        assert all(0 < value < math.inf for value in row.metrics.values()), row
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert all(layout.title in report for layout in LAYOUTS if layout.name in measured)


@pytest.mark.long
def test_many_seeds_together_are_timed_beside_one(tmp_path):
    images = np.zeros((256, 28, 28, 1), np.uint8)
    bench = Bench(load_dataset("embedded"), PRESETS["tiny"], ResultsFile(tmp_path))
    seeds.race_many(bench, BASELINE, SMALL, images, 3)
    one, three, *shared = read_results(tmp_path).rows
    assert (one.model, three.model) == ("1 seed", "3 seeds")
    assert len(shared) == (len(jax.devices()) > 1)
    assert one.metrics["over_one"] == 1
    seconds = three.metrics["seconds_together"] / one.metrics["seconds_together"]
    assert three.metrics["over_one"] == pytest.approx(seconds)


def test_every_way_to_the_smallest_score_kept_is_timed(tmp_path):
    bench = Bench(load_dataset("embedded"), PRESETS["tiny"], ResultsFile(tmp_path))
    threshold.race_searches(bench, 12, 16)
    rows = read_results(tmp_path).rows
    variants = [f"{name}, (12, 16)" for name in (threshold.BY_ELEMENT, threshold.PER_SAMPLE)]
    assert [row.variant for row in rows] == [variant for variant in variants for _ in range(3)]
    assert all(row.metrics["ms"] > 0 for row in rows)


def test_a_group_alone_is_measured_again_in_place(tmp_path):
    for rounds in (1, 2):
        main(preset="tiny", data="embedded", out=tmp_path, only=("decoding",), rounds=rounds)
    rows = read_results(tmp_path).rows
    assert len(rows) == 3
    assert {row.config["rounds"] for row in rows} == {2}
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        main(preset="tiny", data="embedded", out=tmp_path, rounds=0)


def test_what_has_no_compiler_here_is_noted(tmp_path, monkeypatch):
    chips = {name: chip._replace(compiler="no_such_module") for name, chip in CHIPS.items()}
    monkeypatch.setattr(ahead_of_time, "CHIPS", chips)
    main(preset="tiny", data="embedded", out=tmp_path, only=("ahead_of_time",))
    results = read_results(tmp_path)
    assert not results.rows
    notes = results.environment["not_measured"]
    assert len(notes) == len(ahead_of_time.TARGETS)
    assert notes[1].startswith("4 TPU v5e: its compiler, no_such_module, is not installed: pip ")


def test_every_group_has_a_name_of_its_own_in_the_report():
    assert len({layout.name for layout in LAYOUTS}) == len(GROUPS)


def test_contestants_take_turns_and_change_places():
    calls: list[str] = []
    contestants = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = alternate(contestants, rounds=3, warm_up=1, every={"b": 2})
    assert "".join(calls) == "ab" + "ab" + "a" + "ab"
    assert (list(seconds["a"].rounds), list(seconds["b"].rounds)) == ([0, 1, 2], [0, 2])
    assert min(seconds["a"].rounds.values()) <= seconds["a"].median <= seconds["a"].total


def test_the_smallest_and_the_largest_round_stand_beside_the_median():
    seconds = {"ours": Seconds({0: 2.0, 1: 5.0, 2: 3.0}), "theirs": Seconds({0: 8.0, 2: 6.0})}

    def describe(seconds) -> dict[str, float]:
        own, ours = seconds["theirs"].median, seconds["ours"].median
        return {"s": own, "over_ours": own / ours, "images": 5.0}

    metrics = over_rounds(describe, seconds, seconds["theirs"].rounds)
    assert metrics == {
        "s": 7.0,
        "s_smallest": 6.0,
        "s_largest": 8.0,
        "over_ours": 7 / 3,
        "over_ours_smallest": 2.0,
        "over_ours_largest": 4.0,
        "images": 5.0,
    }
    row = make_row("bench", "", "theirs", None, metrics)
    shown = [Column(name, "", 1).format(summarise([row], name)) for name in ("s", "images")]
    assert shown == ["7.0 (6.0 to 8.0)", "5.0"]


def test_targets_have_the_ratios_of_rounds():
    slow = {f"over_beta{end}": x for end, x in (("_smallest", 1.25), ("_largest", 2.0))}
    others = {name: {"seconds_epoch": 3.0} for _, _, _, *pair in RATIOS for name in pair}
    metrics = {
        ("bench_training", body, name): own | (slow if name == "PyTorch, beta-VAE" else {})
        for body in (MLP, CONV)
        for name, own in others.items()
    }
    table = ratios(metrics)
    assert ["the same, beta-VAE", "", "1.00 (1.25 to 2.00)"] in table
    assert ["the same, beta-VAE", "at most 1.2", "1.00 (0.50 to 0.80)"] in table


def test_products_are_those_of_the_model():
    config = SMALL.replace(model="beta_vae")
    products = products_of(config, (12, 12, 1))
    forward = [product for product in products if product.formula == "bi,io->bo"]
    kernels = [product.shapes[1] for product in forward]
    params = Trainer(config, (12, 12, 1), 64).init().params
    assert sorted(kernels) == sorted(x.shape for x in jax.tree.leaves(params) if x.ndim == 2)
    results = products_alone(products, steps=3)()
    for product, result in zip(products, results, strict=True):
        contracted = math.prod(product.shapes[0]) // result.shape[0]
        assert product.flops == 2 * result.size * contracted


def test_a_gather_decodes_what_a_dense_product_does():
    z_BxD = jnp.array([[0.0, 2.0, 0.0, 1.0], [3.0, 0.0, 0.5, 0.0]])
    kernel_DxF = jax.random.normal(jax.random.key(0), (4, 5))
    np.testing.assert_allclose(
        decoding.find_and_gather(z_BxD, kernel_DxF, 2), z_BxD @ kernel_DxF, rtol=1e-5
    )


@pytest.mark.parametrize(
    "fields", [{"model": "beta_vae"}, {"selection": "dimension"}, {"body": "conv", "widths": (4,)}]
)
def test_the_peer_is_the_same_model(blobs, fields):
    pytest.importorskip("torch")
    config = SMALL.replace(**fields)
    run = TorchRun(config, blobs.train_images)
    ours = Trainer(config, blobs.image_shape, 64).init().params
    theirs = list(run.modules.parameters())
    assert sum(x.numel() for x in theirs) == sum(x.size for x in jax.tree.leaves(ours))
    first = run.epoch()
    assert min(run.epoch() for _ in range(10)) < first


def test_masks_may_differ_in_what_ties_with_the_smallest_score_kept_and_in_nothing_else():
    scores_BxD = np.array([[3.0, 1.0], [1.0, 0.0]])
    ours = np.array([[1, 1], [0, 0]])
    check_masks(scores_BxD, {"ours": lambda: ours, "top_k": lambda: scores_BxD >= 1})
    for other in (scores_BxD >= 2, scores_BxD >= 0):
        with pytest.raises(AssertionError):
            check_masks(scores_BxD, {"ours": lambda: ours, "top_k": lambda other=other: other})


def test_exchanges_in_loops_count_for_each_turn_and_those_in_branches_for_themselves():
    program = """
%branch (x: f32[4]) -> f32[8] {
  ROOT %all = f32[8]{0} all-gather(%x), dimensions={0}
}

%turn (x: f32[4]) -> f32[4] {
  %sums = (f32[2,2]{1,0}, s32[]) all-reduce(%a, %b), to_apply=%add
  %or = pred[3]{0} all-reduce(%c), to_apply=%or
  %y = f32[8]{0} conditional(%p, %x, %x), branch_computations={%branch, %other}
}

ENTRY %main (x: f32[4]) -> f32[4] {
  ROOT %x = f32[4] while(%x), body=%turn, backend_config={"known_trip_count":{"n":"5"}}
}
"""
    assert count_exchanges(Hlo.parse(program)) == {
        "all_reduces": 10,
        "all_reduce_bytes": 5 * (20 + 3),
        "all_gathers_in_branches": 5,
        "all_gather_bytes_in_branches": 5 * 32,
    }
