"""Which checkpoints a run has, and how one is found while others come and go."""

import shutil

import pytest

from vae_topk_jax.checkpoint_folder import (
    CheckpointError,
    checkpoints,
    find_intact,
    holds_checkpoints,
    latest_checkpoint,
    read_info,
    read_latest,
    set_aside,
)

STEPS = [7, 99_999_999, 100_000_000, 1_234_567_890, 2**31 - 1]


@pytest.fixture
def run(tmp_path, golden_run):
    """A run's folder with a checkpoint of each step."""
    for step in STEPS:
        shutil.copytree(golden_run / "00000004", tmp_path / "checkpoints" / f"{step:08d}")
    return tmp_path


def test_steps_are_compared_as_numbers(run):
    for place in (run, run / "checkpoints"):
        assert [int(path.name) for path in checkpoints(place)] == STEPS
        assert latest_checkpoint(place).name == str(2**31 - 1)


@pytest.mark.parametrize("name", ["8", "000000100", "00000004.damaged-1", ".00000004.partial"])
def test_other_names_are_no_checkpoints(run, golden_run, name):
    shutil.copytree(golden_run / "00000004", run / "checkpoints" / name)
    assert [int(path.name) for path in checkpoints(run)] == STEPS


def test_a_reader_whose_checkpoint_is_removed_takes_the_newest(run):
    seen = []

    def read_while_the_run_removes_it(path):
        seen.append(path.name)
        if len(seen) < 3:
            shutil.rmtree(path)
            raise FileNotFoundError(path)
        return read_info(path).config.latent_dim

    assert read_latest(run, read_while_the_run_removes_it) == 3
    assert seen == ["2147483647", "1234567890", "100000000"]


def test_what_was_read_of_a_checkpoint_that_is_gone_afterwards_does_not_count(run):
    newest, before = checkpoints(run)[-1], checkpoints(run)[-2]

    def read(path):
        if path == newest:
            shutil.rmtree(path)
        return path

    assert read_latest(run, read) == before


def test_a_checkpoint_that_is_asked_for_by_name_and_removed_is_an_error(run):
    newest = checkpoints(run)[-1]
    with pytest.raises(CheckpointError, match="2147483647 was removed while it was read"):
        read_latest(newest, shutil.rmtree)


def test_a_reader_gives_up_some_time(run, golden_run):
    def replace(path):
        shutil.rmtree(path)
        shutil.copytree(golden_run / "00000004", path.with_name(f"{int(path.name) - 1:08d}"))

    with pytest.raises(CheckpointError, match="are removed faster than one can be read"):
        read_latest(run, replace)


def test_the_newest_intact_one_is_found_and_nothing_is_changed(run):
    newest, before, *_ = reversed(checkpoints(run))
    (newest / "about.json").write_text("{}")
    path, damage = find_intact(run)
    assert path == before
    assert [*damage] == [newest]
    assert "about.json is damaged" in damage[newest]
    assert [int(path.name) for path in checkpoints(run)] == STEPS


def test_damaged_checkpoints_are_numbered_and_none_is_deleted(run, golden_run):
    place = run / "checkpoints"
    for number in (1, 2, 3):
        assert set_aside(checkpoints(run)[-1]).name == f"2147483647.damaged-{number}"
        shutil.copytree(golden_run / "00000004", place / "2147483647")
    assert len([*place.glob("*.damaged-*")]) == 3


def test_a_folder_in_which_all_is_damaged_holds_checkpoints(tmp_path, golden_run):
    shutil.copytree(golden_run / "00000004", tmp_path / "checkpoints" / "00000004.damaged-1")
    assert holds_checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="nothing has been saved there yet"):
        find_intact(tmp_path)
    for path in (tmp_path / "other", tmp_path / "checkpoints" / "none"):
        assert not holds_checkpoints(path)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(run, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vae_topk_jax.checkpoint_folder.os.listdir", refuse)
    for look in (checkpoints, holds_checkpoints, find_intact):
        with pytest.raises(PermissionError):
            look(run)
