"""Noise, and what Table 2 measures of a model."""

import numpy as np
import pytest

from experiments.measures.robustness import SIGMAS, measure_robustness, noisy
from tests.helpers.runs import untrained


@pytest.mark.parametrize("clip", [True, False])
def test_noise_has_its_sigma_and_the_same_draw_at_every_sigma(clip):
    x = np.full((50, 20, 20, 1), 0.5, np.float32)
    small, large = (noisy(x, sigma, seed=3, clip=clip) for sigma in (0.1, 0.7))
    np.testing.assert_allclose((small - x).std(), 0.1, rtol=0.02)
    assert ((large >= 0) & (large <= 1)).all() == clip
    if not clip:
        np.testing.assert_allclose((large - x) / 0.7, (small - x) / 0.1, atol=1e-5)
    np.testing.assert_array_equal(noisy(x, 0.0, seed=3, clip=clip), x)


@pytest.mark.parametrize("classifier", ["clean", "reconstructions"])
def test_table_2_metrics_of_doing_nothing_are_the_classifiers(study, classifier):
    metrics, pictures = measure_robustness(study, np.asarray, 0, classifier=classifier)
    if classifier == "clean":
        assert metrics["accuracy_0.0"] == study.probe.test_accuracy
    assert metrics["accuracy_0.0"] >= metrics["accuracy_0.7"]
    assert {"noisy_0.5", "reconstructed_0.5", "originals"} <= pictures.keys()


@pytest.mark.long
def test_a_model_whose_noise_is_not_clipped_takes_it(study, blobs):
    model = untrained(blobs, clip_noise=False)
    metrics, _ = measure_robustness(study, model, 0, clip_noise=False)
    assert {f"accuracy_{sigma}" for sigma in SIGMAS} < metrics.keys()
    assert metrics["active_latents_0.7"] == model.config.k  # by dimension
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]"):
        measure_robustness(study, untrained(blobs), 0, clip_noise=False)
