"""Checkpoints give back the bits, and training goes on as if it had never stopped."""

import dataclasses
import errno
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.golden.make import CONFIG, FOLDER, digest
from tests.helpers.checkpoints import GOLDEN, rewrite_about
from tests.helpers.runs import SMALL, bits
from vae_topk_jax import load
from vae_topk_jax.checkpoint import (
    CheckpointError,
    CheckpointWriter,
    restore_checkpoint,
    restore_newest_whole,
    save_checkpoint,
)
from vae_topk_jax.checkpoint_folder import checkpoints, latest_checkpoint, read_info
from vae_topk_jax.run_info import RunInfo


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


def test_another_format_is_named(run):
    rewrite_about(run[0] / "00000024", lambda about: about.update(format=99))
    with pytest.raises(CheckpointError, match="has format 99, this version reads 3"):
        read_info(run[0])


def test_arrays_of_another_configuration_are_refused(run):
    rewrite_about(run[0] / "00000024", lambda about: about["config"].update(latent_dim=9))
    with pytest.raises(
        CheckpointError,
        match=r"frequency is float32\(8,\), the configuration wants float32\(9,\)",
    ):
        restore_checkpoint(run[0])


def test_the_newest_and_the_best_are_kept(run, info, tmp_path):
    state, _ = restore_checkpoint(run[0])
    errors = [3.0, 1.0, 2.0, float("nan"), 5.0, 4.0]
    with CheckpointWriter(tmp_path / "kept", info, keep=2) as writer:
        for step, error in enumerate(errors, start=1):
            writer.save(dataclasses.replace(state, step=jnp.asarray(step)), error)
    assert [int(path.name) for path in checkpoints(tmp_path / "kept")] == [2, 5, 6]


def test_steps_above_eight_digits_are_newer(run, info, tmp_path):
    state, _ = restore_checkpoint(run[0])
    steps = range(10**8 - 2, 10**8 + 2)
    with CheckpointWriter(tmp_path / "long", info, keep=2) as writer:
        for step in steps:
            writer.save(dataclasses.replace(state, step=jnp.asarray(step)), error=float(step))
    kept = [int(path.name) for path in checkpoints(tmp_path / "long")]
    assert kept == [steps[0], *steps[-2:]]
    assert int(load(tmp_path / "long").state.step) == steps[-1]


def raised(error):
    def fail(*given, **options):
        raise error

    return fail


OTHERS = {
    "a format": lambda path, patch: rewrite_about(path, lambda about: about.update(format=99)),
    "a field": lambda path, patch: rewrite_about(
        path, lambda about: about["config"].update(later=1)
    ),
    "a key": lambda path, patch: jax.config.update("jax_default_prng_impl", "rbg"),
    "no memory": lambda path, patch: patch.setattr("orbax.checkpoint.v1.load", raised(MemoryError)),
} | {
    name: lambda path, patch, error=error: patch.setattr(
        "vae_topk_jax.manifest.hashlib.file_digest", raised(OSError(error, os.strerror(error)))
    )
    for name, error in {
        "too many files": errno.EMFILE,
        "no answer": errno.EIO,
        "no right": errno.EACCES,
    }.items()
}


@pytest.mark.parametrize("cause", OTHERS)
def test_only_what_differs_from_its_manifest_is_set_aside(run, monkeypatch, cause):
    before = sorted(path.name for path in run[0].iterdir())
    try:
        OTHERS[cause](run[0] / "00000024", monkeypatch)
        with pytest.raises((ValueError, OSError, MemoryError)) as refusal:
            restore_newest_whole(run[0])
    finally:
        jax.config.update("jax_default_prng_impl", "threefry2x32")
    assert "\n" not in str(refusal.value)
    assert sorted(path.name for path in run[0].iterdir()) == before


def test_an_error_of_a_write_is_told_by_the_next_call(run, info, tmp_path):
    state, _ = restore_checkpoint(run[0])
    writer = CheckpointWriter(tmp_path / "twice", info)
    writer.save(state)
    writer.wait()
    writer.save(state)
    with pytest.raises(CheckpointError, match="exists already"):
        writer.save(state)


def test_the_state_is_copied_before_it_is_written(blobs, info, tmp_path):
    """Training gives its state up while the copy is being written."""
    trainer, seen = info.trainer, []
    with CheckpointWriter(tmp_path / "beside", info) as writer:
        for epoch in trainer.epochs(trainer.init(), blobs.train_images):
            seen.append(bits(epoch.state))
            writer.save(epoch.state)
    assert [bits(restore_checkpoint(p).state) for p in checkpoints(tmp_path / "beside")] == seen


@pytest.mark.parametrize("of", ["", "-0.2.0"], ids=["0.1.0", "0.2.0"])
def test_a_checkpoint_of_every_version_loads(of):
    """Its arrays to the bit; what JAX and the processor make of them to the last place."""
    state, info = restore_checkpoint(FOLDER / f"run{of}")
    assert digest(state) == (FOLDER / f"state{of}.sha256").read_text().strip()
    assert (info.config, int(state.step), info.data["source"]) == (CONFIG, 4, "golden")
    codes = load(FOLDER / f"run{of}").encode(np.load(FOLDER / "images.npy"))
    np.testing.assert_allclose(codes, np.load(FOLDER / f"codes{of}.npy"), rtol=1e-6)


def test_an_old_checkpoint_in_which_a_removed_field_had_an_effect_is_refused(tmp_path):
    shutil.copytree(GOLDEN, tmp_path / "run")
    rewrite_about(
        tmp_path / "run" / "00000004", lambda about: about["config"].update(hysteresis=0.1)
    )
    with pytest.raises(CheckpointError, match=r"hysteresis was removed after version 0\.1\.0: "):
        load(tmp_path / "run")
