"""The inputs that a model is shown on are those of its run, unless others are asked for."""

import numpy as np
import pytest

from experiments.study import shown_inputs
from experiments.study.shown_inputs import ShownInputs, find_inputs
from tests.helpers.idx_files import write_dataset
from tests.helpers.runs import untrained
from vae_topk_jax.checkpoint import save_checkpoint
from vae_topk_jax.data import DataOptions
from vae_topk_jax.runs.inputs import Inputs
from vae_topk_jax.runs.run_folder import write_names


@pytest.fixture(scope="module")
def run(blobs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    model = untrained(blobs)
    save_checkpoint(folder / "checkpoints", model.state, model.info)
    write_names(folder, {"data": str(write_dataset(folder / "spots", blobs)), "limit": 30})
    return folder


def test_the_inputs_of_the_run_are_found(run, blobs, tmp_path):
    inputs = find_inputs(run / "checkpoints", "test")
    assert inputs.images.shape == (30, 12, 12, 1)
    assert inputs.previews is None
    assert find_inputs(run, "train", reading=DataOptions(limit=20)).images.shape[0] == 20
    path = tmp_path / "mine.npy"
    np.save(path, np.zeros((40, 12, 12, 3), np.uint8))
    others = find_inputs(run, "train", str(path))
    assert others.images.shape == (36, 12, 12, 3)
    assert others.labels is None
    assert "mine.npy" in others.source


def test_vectors_made_of_images_are_shown_by_these(blobs, monkeypatch):
    vectors = Inputs(np.zeros((512, 1, 1, 5)), np.zeros((128, 1, 1, 5)), {}, "digest")
    monkeypatch.setattr(shown_inputs, "load_inputs", lambda name, dataset: vectors)
    inputs = ShownInputs.of(blobs, "test", "probe")
    assert inputs.images.shape == (128, 1, 1, 5)
    np.testing.assert_array_equal(inputs.previews, blobs.test_images)
    np.testing.assert_array_equal(inputs.labels, blobs.test_labels)
