"""What Table 1 measures of a model."""

import numpy as np
import pytest

from experiments.measures.generation import measure_model
from experiments.measures.stability import plan_stability
from tests.helpers.runs import SMALL


@pytest.mark.long
def test_table_1_metrics_of_a_model_and_the_stability_of_its_mask(study):
    config = SMALL.replace(epochs=2)
    inference = study.train(config).inference
    assert study.train(config).inference is inference
    metrics, pictures = measure_model(study, inference, seed=0)
    assert metrics["active_dims"] == 2
    assert {"psnr", "ssim", "fid_clf_prior", "kid_clf_mixture"} <= metrics.keys()
    assert np.isfinite(list(metrics.values())).all()
    assert pictures["samples_mixture"].shape[1:] == (12, 12, 1)

    study.measure([plan_stability(study, "averaged KL", "model", config)])
    (row,) = study.results.rows
    assert row.metrics["shift_ema_64"] == row.metrics["shift_ema_8"] == 0
    assert all(0 <= row.metrics[f"jaccard_{size}"] <= 1 for size in (1, 8, 64))
