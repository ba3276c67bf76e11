"""Files of one object per line, as a run and as a power cut leave them."""

import os

import pytest

from vae_topk_jax.runs.json_lines import append_lines, drop_after, read_lines

LINES = [{"step": step, "loss": 1 / step} for step in (1, 2, 3)]


@pytest.fixture
def path(tmp_path):
    append_lines(tmp_path / "lines.jsonl", LINES)
    return tmp_path / "lines.jsonl"


@pytest.mark.parametrize(
    "tail",
    [
        bytes(40),
        bytes(40) + b"\n",
        b'{"step": 4, "lo',
        b'{"step": 4, "loss": "\xff\xfe"}\n',
        b"null\n",
        b"[4]\n",
        b'{"loss": 1}\n',
        b'{"step": true}\n',
        b"[" * 100_000 + b"\n",
        b"\n",
        b'{"step": 4, "lo{"step": 5, "loss": 1}\n{"step": 6, "loss": 1}\n',
    ],
    ids=range(11),
)
def test_a_broken_tail_is_passed_over_and_dropped_with_a_line(path, tail, caplog):
    with path.open("ab") as file:
        file.write(tail)
    assert read_lines(path) == LINES
    drop_after(path, 9)
    (message,) = caplog.messages
    assert f"{path}: dropped {len(tail)} bytes after step 3" in message
    append_lines(path, [{"step": 4}])
    assert read_lines(path) == [*LINES, {"step": 4}]


def test_lines_after_a_step_are_dropped_without_a_word(path, caplog):
    drop_after(path, 2)
    assert read_lines(path) == LINES[:2]
    assert not caplog.messages


def test_a_file_that_is_missing_has_no_lines_and_is_made(tmp_path):
    assert read_lines(tmp_path / "new") == []
    drop_after(tmp_path / "new", 3)
    assert (tmp_path / "new").read_bytes() == b""


def test_a_line_is_on_the_disk_when_the_call_returns(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    append_lines(path, [{"step": 4}])
    assert synced == [path.stat().st_size]
