"""Checkpoints give back the bits, and training goes on as if it had never stopped."""

import json

import jax
import pytest

from tests.test_training import SMALL, bits
from vae_topk_jax import load
from vae_topk_jax.checkpoint import (
    CheckpointError,
    RunInfo,
    latest_checkpoint,
    read_info,
    restore_checkpoint,
    save_checkpoint,
)


@pytest.fixture
def info(blobs) -> RunInfo:
    return RunInfo(SMALL, blobs.image_shape, blobs.describe())


@pytest.fixture
def run(blobs, info, tmp_path):
    """A run of three epochs with a checkpoint after each."""
    states = []
    for epoch in info.trainer.epochs(info.trainer.init(), blobs.train_images):
        save_checkpoint(tmp_path / "run", epoch.state, info)
        states.append(bits(epoch.state))
    return tmp_path / "run", states


@pytest.mark.parametrize("model", ["beta_vae", "top_k_vae"])
def test_round_trip_gives_back_every_bit_and_the_run(blobs, tmp_path, model):
    info = RunInfo(SMALL.replace(model=model, epochs=1), blobs.image_shape, blobs.describe())
    (epoch,) = info.trainer.epochs(info.trainer.init(), blobs.train_images)
    path = save_checkpoint(tmp_path / "run", epoch.state, info)
    state, read = restore_checkpoint(path)
    assert bits(state) == bits(epoch.state)
    assert jax.tree.structure(state) == jax.tree.structure(epoch.state)
    assert (read.config, read.image_shape, read.data) == (info.config, info.image_shape, info.data)


def test_resuming_gives_the_bits_of_never_having_stopped(blobs, run):
    folder, states = run
    state, info = restore_checkpoint(folder / "00000008")
    resumed = [bits(epoch.state) for epoch in info.trainer.epochs(state, blobs.train_images)]
    assert resumed == states[1:]


def test_the_newest_checkpoint_is_found_and_relative_paths_work(run, monkeypatch):
    folder, states = run
    (folder / "00000099").mkdir()
    monkeypatch.chdir(folder.parent)
    assert latest_checkpoint("run").name == "00000024"
    assert bits(restore_checkpoint("run")[0]) == states[-1]
    assert load("run").config == SMALL


def test_a_step_is_never_overwritten(run, info):
    state, _ = restore_checkpoint(run[0])
    with pytest.raises(CheckpointError, match=r"00000024 exists already"):
        save_checkpoint(run[0], state, info)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_a_missing_checkpoint_is_named(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*run"):
        load(tmp_path / "run")


def change_metadata(path, change) -> None:
    for file in path.rglob("_CHECKPOINT_METADATA"):
        document = json.loads(file.read_text())
        change(document["custom_metadata"])
        file.write_text(json.dumps(document))


def test_another_format_is_named(run):
    change_metadata(run[0], lambda about: about.update(format=99))
    with pytest.raises(CheckpointError, match="has format 99, this version reads 2"):
        read_info(run[0])


def test_arrays_of_another_configuration_are_refused(run):
    change_metadata(run[0], lambda about: about["config"].update(latent_dim=9))
    with pytest.raises(
        CheckpointError,
        match=r"frequency is float32\(8,\), the configuration wants float32\(9,\)",
    ):
        restore_checkpoint(run[0])
