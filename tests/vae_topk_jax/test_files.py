"""Folders that are written completely or not at all."""

from pathlib import Path

import pytest

from vae_topk_jax.files import new_folder


def write(path: Path, text: str, replace: bool = True) -> None:
    with new_folder(path, replace) as partial:
        (partial / "file").write_text(text)


def test_a_folder_is_replaced_once_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a"
    for text in ("first", "second"):
        write(path, text)
        assert (path / "file").read_text() == text
        assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    assert (path / "file").read_text() == "second"
    assert [*tmp_path.iterdir()] == [path]


def test_a_link_to_a_folder_stays_one(tmp_path):
    link, folder = tmp_path / "link", tmp_path / "elsewhere"
    link.symlink_to(folder, target_is_directory=True)
    for text in ("first", "second"):
        write(link, text)
        assert link.is_symlink()
        assert (folder / "file").read_text() == text
        assert sorted(tmp_path.iterdir()) == [folder, link]


def test_a_folder_that_another_process_made_meanwhile_is_left(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(OSError, match="not empty"), new_folder(path):
        write(path, "theirs", replace=False)
    assert (path / "file").read_text() == "theirs"
    assert [*tmp_path.iterdir()] == [path]
    with pytest.raises(FileExistsError, match="exists already"):
        write(path, "ours", replace=False)
