"""A small run of digits, and what the explorer makes of it."""

from pathlib import Path

import numpy as np
import pytest

from experiments import train
from experiments.explore.inspection import Inspector
from experiments.explore.view import View
from experiments.study.shown_inputs import ShownInputs
from vae_topk_jax import load
from vae_topk_jax.data import load_dataset, to_unit_float

FLAGS = ["--data", "embedded", "--epochs", "1", "--widths", "16", "--latent-dim", "8", "--k", "3"]


@pytest.fixture(scope="package")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("explored") / "run"
    train.main([*FLAGS, "--out", str(folder)])
    return folder


@pytest.fixture(scope="package")
def digits():
    return ShownInputs.of(load_dataset("embedded"), "test")


@pytest.fixture(scope="package")
def view(run, digits) -> View:
    return View(Inspector(load(run / "checkpoints")), digits)


@pytest.fixture(scope="package")
def images(digits) -> np.ndarray:
    return to_unit_float(digits.images)
