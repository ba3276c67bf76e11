"""Reductions of the loss, against principal components."""

import pytest

from experiments import collapse


@pytest.mark.long
def test_collapse_is_measured_against_principal_components(study, monkeypatch):
    monkeypatch.setattr(collapse, "REDUCTIONS", {"sum": "summed"})
    study.measure(collapse.rows(study, bodies=("mlp",)))
    (variant,) = {row.variant for row in study.results.rows}
    assert variant == "mlp, pixels summed, KL summed"
    assert [row.model for row in study.results.rows][-1] == "PCA, 8 components"
    assert all(row.metrics["psnr"] > 0 for row in study.results.rows)
