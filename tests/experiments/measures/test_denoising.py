"""Codes by likelihood: the moments of clipped noise, and a search that explains images better."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import table2
from experiments.measures.denoising import LikelihoodInference, seen_through_noise
from experiments.measures.robustness import SIGMAS, noisy
from experiments.study.lineup import ELEMENT, by_likelihood
from tests.helpers.runs import SMALL


@pytest.mark.parametrize("clip", [True, False])
def test_the_moments_are_those_of_drawn_noise(clip):
    mean = np.array([0.0, 0.3, 1.0], np.float32)
    drawn = mean + 0.5 * np.random.default_rng(0).normal(size=(200_000, 3))
    drawn = np.clip(drawn, 0, 1) if clip else drawn
    seen = seen_through_noise(jnp.asarray(mean), jnp.float32(0.5), clip)
    np.testing.assert_allclose(seen.mean, drawn.mean(0), atol=0.005)
    np.testing.assert_allclose(seen.variance, drawn.var(0), atol=0.005)


@pytest.mark.long
def test_a_model_that_never_saw_noise_takes_it_away(study):
    model = study.train(SMALL.replace(selection="sample", epochs=20)).inference
    clean = study.test_images[:32]
    seen = noisy(clean, 0.4, seed=0, clip=True)
    search = LikelihoodInference(model, study.train_images, clip=True)
    codes = search.encode(seen)
    assert ((codes != 0).sum(axis=1) == model.config.k).all()
    found, encoded = (np.asarray(model.decode(z)) for z in (codes, model.encode(seen)))
    assert np.square(found - clean).mean() < 0.95 * np.square(encoded - clean).mean()


@pytest.mark.long
def test_table_2_runs_without_clipping_and_by_likelihood(study):
    budget = dataclasses.replace(study.budget, table2=(ELEMENT,), denoised=8)
    study = dataclasses.replace(study, budget=budget, given={"widths": (8,)})
    clean = [row for row in table2.rows(study, clip_noise=False) if "clean" in row.place.variant]
    study.measure(row for row in clean if "PCA" not in row.title)
    by_title = {row.model: row for row in study.results.rows}
    assert {ELEMENT, by_likelihood(ELEMENT), "nearest training image's label"} <= {*by_title}
    for row in study.results.rows:
        assert row.config["clip_noise"] is False
        assert {f"accuracy_{sigma}" for sigma in SIGMAS} <= row.metrics.keys()
    for title in (ELEMENT, by_likelihood(ELEMENT)):
        assert {f"active_latents_{sigma}" for sigma in SIGMAS} <= by_title[title].metrics.keys()
        assert by_title[title].metrics["inference_ms"] > 0
