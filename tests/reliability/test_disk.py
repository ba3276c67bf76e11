"""A disk that cannot take another checkpoint leaves the ones it has."""

import errno
import os
import shutil
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
from orbax.checkpoint import v1 as ocp

from experiments import train
from tests.helpers.checkpoints import GOLDEN
from tests.helpers.runs import FLAGS
from vae_topk_jax.checkpoint import (
    CheckpointError,
    CheckpointWriter,
    checkpoints,
    restore_checkpoint,
    save_checkpoint,
)

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def file_in_the_way(path):
    path.write_text("")
    return path, "Not a directory"


def read_only(path):
    if not sys.platform.startswith("linux"):
        pytest.skip("no folder that even an administrator cannot write")
    return Path("/sys") / path.name, "Operation not permitted|Permission denied"


@pytest.fixture
def full_disk(monkeypatch):
    """Fills the disk up after so many checkpoints."""

    def after(whole: int) -> None:
        save, saved = ocp.save, []

        def save_or_fail(*given):
            if len(saved) == whole:
                raise FULL
            saved.append(save(*given))

        monkeypatch.setattr(ocp, "save", save_or_fail)

    return after


@pytest.mark.parametrize("make", [file_in_the_way, read_only])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, make):
    state, info = restore_checkpoint(GOLDEN)
    folder, reason = make(tmp_path / "run")
    with pytest.raises(CheckpointError, match=f"cannot write checkpoint .*({reason})") as error:
        save_checkpoint(folder, state, info)
    assert "\n" not in str(error.value)
    assert folder.is_file() or not folder.exists()


@pytest.mark.parametrize("make", [file_in_the_way, read_only])
def test_a_run_that_cannot_be_written_ends_in_one_line(data, tmp_path, capsys, make):
    out, _ = make(tmp_path / "run")
    with pytest.raises(SystemExit, match="2"):
        train.main(["--data", str(data), "--out", str(out), *FLAGS])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(out) in line


def test_a_folder_that_vanished_is_made_again(tmp_path):
    state, info = restore_checkpoint(GOLDEN)
    path = save_checkpoint(tmp_path / "run", state, info)
    shutil.rmtree(path.parent)
    save_checkpoint(tmp_path / "run", state, info)
    assert jnp.array_equal(restore_checkpoint(path).state.step, state.step)


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(0, marks=pytest.mark.long, id="at the first"),
        pytest.param(1, id="on the way"),
        pytest.param(2, marks=pytest.mark.long, id="at the last"),
    ],
)
def test_a_run_on_a_full_disk_ends_in_one_line_and_goes_on(
    data, tmp_path, capsys, monkeypatch, full_disk, whole
):
    flags = ["--data", str(data), "--out", str(tmp_path / "run")]
    full_disk(whole)
    with pytest.raises(SystemExit, match="2"):
        train.main([*flags, *FLAGS])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("No space left on device")
    monkeypatch.undo()
    left = checkpoints(tmp_path / "run" / "checkpoints")
    assert [int(path.name) for path in left] == [8, 16][:whole]
    train.main([*flags, "--resume"] if whole else [*flags, *FLAGS])
    assert int(restore_checkpoint(tmp_path / "run" / "checkpoints").state.step) == 24


def test_an_error_of_a_write_is_not_lost_beside_another(tmp_path, caplog, full_disk):
    state, info = restore_checkpoint(GOLDEN)
    full_disk(0)

    def save_and_be_stopped() -> None:
        with CheckpointWriter(tmp_path / "run", info) as writer:
            writer.save(state)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_and_be_stopped()
    assert "cannot write checkpoint" in caplog.text
    assert "No space left on device" in caplog.text


def test_what_a_killed_run_left_half_deleted_does_not_stop_the_next(tmp_path):
    state, info = restore_checkpoint(GOLDEN)
    half = save_checkpoint(tmp_path, state, info)
    (half / "about.json").unlink()
    (tmp_path / ".00000003.partial" / "state").mkdir(parents=True)
    with CheckpointWriter(tmp_path, info, keep=1) as writer:
        writer.save(state.replace(step=state.step + 1), 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["00000005"]
