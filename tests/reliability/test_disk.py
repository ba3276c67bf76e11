"""A disk that cannot take another checkpoint leaves the ones it has."""

import shutil

import jax.numpy as jnp
import pytest

from tests.test_checkpoint import GOLDEN
from vae_topk_jax.checkpoint import CheckpointError, restore_checkpoint, save_checkpoint


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    state, info = restore_checkpoint(GOLDEN)
    folder = tmp_path / "run"
    folder.write_text("")
    with pytest.raises(
        CheckpointError, match=r"cannot write checkpoint .*Not a directory"
    ) as error:
        save_checkpoint(folder, state, info)
    assert "\n" not in str(error.value)
    assert folder.is_file()


def test_a_folder_that_vanished_is_made_again(tmp_path):
    state, info = restore_checkpoint(GOLDEN)
    path = save_checkpoint(tmp_path / "run", state, info)
    shutil.rmtree(path.parent)
    save_checkpoint(tmp_path / "run", state, info)
    assert jnp.array_equal(restore_checkpoint(path).state.step, state.step)
