"""The study of known features: its rows, and what is measured of a dictionary."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.records.rows import read_results
from experiments.synth import ours, peers
from experiments.synth.__main__ import main
from experiments.synth.found import Found, measure
from experiments.synth.presets import PRESETS
from experiments.synth.rows import Rows
from vae_topk_jax.synthetic import SETTINGS, make_ground_truth

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def truth():
    return make_ground_truth(jax.random.key(0), SETTINGS["tiny"])


def test_a_dictionary_that_knows_the_features_is_perfect_up_to_what_it_leaves_out(truth):
    """Orthogonal directions, of which it has all."""
    directions = np.linalg.qr(np.asarray(truth.directions_GxF).T)[0].T
    few = SETTINGS["tiny"].inputs
    exact = dataclasses.replace(
        truth,
        directions_GxF=jnp.pad(jnp.asarray(directions), ((0, 128 - few), (0, 0))),
    )
    bias = np.asarray(truth.bias_F)

    def encode(x_BxF):
        return np.where((x_BxF - bias) @ directions.T > 1e-4, (x_BxF - bias) @ directions.T, 0)

    found = Found(directions, encode, lambda z_BxD: z_BxD @ directions + bias, 1.0)
    metrics = measure(found, exact, samples=1024)
    for name in ("mcc", "uniqueness", "explained_variance"):
        assert metrics[name] == pytest.approx(1, abs=1e-4)
    assert metrics["precision"] == pytest.approx(1, abs=1e-3)
    assert metrics["f1"] == pytest.approx(metrics["recall"], abs=0.01)


def test_every_row_has_its_place_and_its_settings(truth, tmp_path):
    sizes = TINY._replace(seeds=(0, 1))
    rows = Rows("tiny", sizes, truth, tmp_path).all()
    titles = [*ours.MODELS, *peers.installed()]
    assert [(row.place.model, row.place.seed) for row in rows] == [
        (title, seed) for seed in sizes.seeds for title in titles
    ]
    assert len({row.key for row in rows}) == len(rows)
    assert {row.config["samples"] for row in rows} == {TINY.samples}


def test_presets_divide_into_batches():
    for preset in PRESETS.values():
        assert preset.steps % ours.DRAWN == 0
        assert preset.samples == preset.steps * preset.batch_size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": (0, 0)}, "seeds must be distinct and at least 0"),
        ({"seeds": ()}, "seeds must be distinct"),
        ({"only": "GAN"}, "only must be part of the title of a row, got 'GAN'"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main("tiny", tmp_path, **options)


@pytest.mark.long
def test_the_tiny_study_learns_and_is_reported(tmp_path):
    main("tiny", tmp_path, only="BatchTopK SAE", seeds=(0, 1))
    rows = read_results(tmp_path).rows
    assert len(rows) == 4
    for row in rows:
        assert row.metrics["mcc"] > 0.45
        assert row.metrics["explained_variance"] > 0.3
        assert ("stability" in row.metrics) == (row.seed == 1)
    assert "Known features" in (tmp_path / "report.md").read_text(encoding="utf-8")
