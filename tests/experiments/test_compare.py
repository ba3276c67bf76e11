"""The comparison of every system, the rate-distortion plane, the likelihood and the traversals."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import compare, likelihood, rate
from experiments.measures import system
from experiments.measures.rate import rate_and_distortion
from experiments.measures.traversals import STEPS
from experiments.records.pictures import decode_images
from experiments.records.rows import ResultsFile, Row
from experiments.reporting.compose import write_report
from experiments.study.budget import PRESETS, Passes
from experiments.study.lineup import ELEMENT, LATENT_DIM, SLOT, K, trained_models
from experiments.study.study import Study
from tests.helpers.runs import SMALL
from vae_topk_jax.config import Config
from vae_topk_jax.inference import Inference
from vae_topk_jax.metrics.sparsity import hoyer

LAYOUTS = (compare.LAYOUT, rate.LAYOUT, likelihood.LAYOUT)
pytestmark = pytest.mark.long

SYSTEMS = {
    "beta-VAE": {"model": "beta_vae"},
    ELEMENT: {"model": "top_k_vae", "selection": "element"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def study(blobs, folder) -> Study:
    budget = dataclasses.replace(PRESETS["tiny"], training=Passes(2), mixture_codes=512, samples=64)
    given = SMALL.to_dict() | {"widths": (16,), "model": "beta_vae"}
    return Study(blobs, budget, ResultsFile(folder), given=given)


@pytest.fixture(scope="module")
def rows(study) -> dict[str, dict[str, Row]]:
    """Experiment -> model -> row of a small comparison."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "SYSTEMS", SYSTEMS)
        patch.setattr(system, "ENCODED", 32)
        patch.setattr(rate, "BETAS", (0.1,))
        patch.setattr(rate, "LATENT_DIM", 8)
        patch.setattr(likelihood, "SAMPLES", 5)
        study.measure(compare.rows(study))
        measured = len(study.results.rows)
        study.measure(compare.rows(study))
    assert len(study.results.rows) == measured
    found: dict[str, dict[str, Row]] = {}
    for row in study.results.rows:
        name = row.variant if row.experiment == "likelihood" else row.model
        found.setdefault(row.experiment, {})[name] = row
    return found


@pytest.fixture(scope="module")
def element(study, rows) -> Inference:
    return study.train(study.config(**SYSTEMS[ELEMENT], seed=0)).inference


def test_every_system_is_a_valid_configuration_of_its_own():
    configs = {Config(**fields) for fields in compare.SYSTEMS.values()}
    assert len(configs) == len(compare.SYSTEMS)
    assert {config.k for config in configs if config.system.is_sparse} == {8}


def test_the_plane_alone_has_the_models_of_table_1(study):
    titles = [planned.place.model for planned in rate.systems(study)]
    assert titles == [*trained_models(LATENT_DIM, K)]


def test_every_column_of_the_comparison_is_measured(rows):
    assert list(rows["compare"]) == [*SYSTEMS, "PCA, 8 components"]
    for row in rows["compare"].values():
        missing = {column.metric for column in compare.LAYOUT.columns} - row.metrics.keys()
        assert missing == (set() if row.seed == 0 else {"seconds_epoch"})
    by_name = {name: row.metrics for name, row in rows["compare"].items()}
    assert by_name["beta-VAE"]["active_latents"] == by_name["beta-VAE"]["active_dims"] == 8
    assert by_name[ELEMENT]["active_latents"] < 4
    assert by_name[ELEMENT]["hoyer"] > by_name["beta-VAE"]["hoyer"]
    pixels, hidden, dims = 144, 16, 8
    expected = (pixels + 1) * hidden + 2 * (hidden + 1) * dims
    expected += (dims + 1) * hidden + (hidden + 1) * pixels
    assert by_name["beta-VAE"]["parameters"] == expected
    assert by_name["PCA, 8 components"]["parameters"] == 9 * pixels
    assert by_name["PCA, 8 components"]["psnr"] > by_name["beta-VAE"]["psnr"]
    best = by_name["beta-VAE"]["fid_clf_best"]
    assert best == min(
        by_name["beta-VAE"][f"fid_clf_{s}"] for s in ("prior", "patterns", "mixture")
    )


def test_a_system_is_measured_on_its_codes(study, rows, element):
    metrics = rows["compare"][ELEMENT].metrics
    codes = np.asarray(element.encode(study.test_images))
    np.testing.assert_allclose(metrics["hoyer"], hoyer(codes), rtol=1e-6)
    np.testing.assert_allclose(metrics["active_latents"], np.mean((codes != 0).sum(1)), rtol=1e-6)
    assert metrics["linear_probe"] > 0.25


def test_the_page_shows_the_table_the_curve_and_what_the_latents_do(rows, folder):
    markdown, _ = write_report(folder, LAYOUTS)
    text = markdown.read_text()
    for section in ("Comparison: every system", "Rate and distortion", "Likelihood of the test"):
        assert f"## {section}" in text
    for layout in LAYOUTS:
        header = " | ".join(["| model", *(column.heading for column in layout.columns)])
        assert header in text
    figures = set(re.findall(r"\]\(figures/([^)]*)\)", text))
    assert {"rate-d-64-curve.png", "compare-k-8-of-64-reconstructions.png"} <= figures
    assert sum("latents" in name for name in figures) == len(rows["compare"])


def test_the_rate_of_a_dense_model_is_its_kl(study, rows):
    config = study.config(**SYSTEMS["beta-VAE"], seed=0)
    inference = study.train(config).inference
    apply = jax.jit(inference.model.apply, static_argnames="method")
    mu, logvar = (
        np.asarray(value, np.float64)
        for value in apply(inference.variables, study.test_images, method="posterior")
    )
    kl = 0.5 * np.mean(np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1))
    metrics = rows["rate"]["beta-VAE"].metrics
    np.testing.assert_allclose(metrics["rate"], kl, rtol=1e-4)
    pixels = study.test_images[0].size
    nats = 0.5 * pixels * (np.log(2 * np.pi * metrics["mse"]) + 1)
    np.testing.assert_allclose(metrics["rate_and_distortion"], metrics["rate"] + nats, rtol=1e-6)
    mean_mse = np.mean(
        (np.asarray(inference.reconstruct(study.test_images)) - study.test_images) ** 2
    )
    assert metrics["mse"] > mean_mse


@pytest.mark.parametrize("title", [ELEMENT, SLOT])
def test_a_choice_of_latents_costs_what_it_takes_to_tell(study, title):
    """NumPy, entry by entry: the KL of what passes and that of the mask to its own frequency; by
    slot, of each group's choice to the frequencies of its latents."""
    inference = study.train(study.config(**trained_models(LATENT_DIM, K)[title], seed=0)).inference
    mu, logvar = (
        np.asarray(value, np.float64)
        for value in inference.model.apply(
            inference.variables, study.test_images, method="posterior"
        )
    )
    mask = np.asarray(inference.encode(study.test_images)) != 0
    share = mask.mean(0)
    kl = np.where(mask, 0.5 * (np.exp(logvar) + mu**2 - 1 - logvar), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        tell = np.where(mask, -np.log(share), 0 if title == SLOT else -np.log(1 - share))
    expected = np.mean(np.sum(kl + tell, axis=1))
    found = rate_and_distortion(inference, study.test_images)["rate"]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert np.mean(np.sum(tell, axis=1)) > 0.05


def test_more_beta_is_less_rate_and_more_distortion(rows):
    usual, strong = (rows["rate"][name].metrics for name in ("beta-VAE", "beta-VAE, beta 0.1"))
    assert strong["rate"] < usual["rate"]
    assert strong["mse"] > usual["mse"]


def test_the_likelihood_is_measured_on_images_of_two_kinds(rows):
    binary, grey = (rows["likelihood"][name] for name in ("statically binarised", "grey"))
    assert "binarised by our own draw" in binary.data["source"]
    assert "binarised" not in grey.data["source"]
    for row in (binary, grey):
        assert row.metrics["elbo"] < row.metrics["importance_bound"] < 0
    assert binary.metrics["rate"] != grey.metrics["rate"]


def test_pictures_of_the_latents_fit_their_row(rows):
    pictures = {name: row.pictures or {} for name, row in rows["compare"].items()}
    assert len(decode_images(pictures["beta-VAE"]["traversals"])) == 8 * STEPS
    dims = int(rows["compare"][ELEMENT].metrics["active_dims"])
    assert len(decode_images(pictures[ELEMENT]["traversals"])) == dims * STEPS
    assert len(decode_images(pictures[ELEMENT]["atlas"])) == 8
