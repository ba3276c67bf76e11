"""A row is measured once."""

import dataclasses

import numpy as np

from experiments.records.rows import ResultsFile, read_results
from experiments.study.study import Measurement


def test_a_row_is_measured_once_over_interruptions(study, tmp_path):
    calls = []

    def measure() -> Measurement:
        calls.append(1)
        return Measurement({"psnr": 1.5}, {"originals": np.zeros((2, 4, 4, 1))})

    study.measure("table1", "averaged KL", "beta-VAE", {"k": 2}, 0, measure)
    resumed = dataclasses.replace(study, results=ResultsFile(tmp_path))
    resumed.measure("table1", "averaged KL", "beta-VAE", {"k": 2}, 0, measure)
    assert len(calls) == 1
    resumed.measure("table1", "averaged KL", "beta-VAE", {"k": 3}, 0, measure)
    assert len(calls) == 2
    (first, _) = read_results(tmp_path).rows
    assert first.data == {"source": "synthetic spots", "train": 512, "test": 128}
    assert first.config == {"k": 2, "test_latent": "mean"}
