"""What is printed is the text, on any stdout."""

import errno
import io
import sys
from types import SimpleNamespace

import pytest

from vae_topk_jax.config import Config
from vae_topk_jax.runs import progress
from vae_topk_jax.runs.plain_console import PlainConsole
from vae_topk_jax.training import EpochResult

ODD = "[/b] [red]a[/] :smile: \x1b[31m \u202e \udcff é"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", r"[/b] [red]a[/] :smile: \x1b[31m \u202e \udcff é"),
        ("ascii", r"[/b] [red]a[/] :smile: \x1b[31m \u202e \udcff \xe9"),
        ("iso-8859-1", r"[/b] [red]a[/] :smile: \x1b[31m \u202e \udcff é"),
    ],
)
def test_text_is_itself_or_an_escape(encoding, shown, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stdout)
    PlainConsole().print(ODD)
    assert stdout.buffer.getvalue().decode(encoding) == shown + "\n"


@pytest.mark.parametrize("number", [None, errno.EIO])
def test_a_stdout_that_is_closed_or_whose_terminal_is_gone_is_nowhere(number, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None if number is None else failing(number))
    PlainConsole().print(ODD)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
def test_other_failures_are_the_callers(number, monkeypatch):
    monkeypatch.setattr(sys, "stdout", failing(number))
    with pytest.raises(OSError, match=r"reads stdout|no room"):
        PlainConsole().print(ODD)


def failing(number: int) -> io.StringIO:
    def write(text: str) -> int:
        raise OSError(number, "no room")

    stdout = io.StringIO()
    stdout.write = write
    return stdout


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_is_shown_in_a_terminal_alone_whatever_its_title(is_terminal, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii")
    stdout.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "console", PlainConsole())
    turns = [EpochResult(SimpleNamespace(step=step), {"loss": 0.5}, None) for step in (1, 2)]
    trainer = SimpleNamespace(total_steps=2, config=Config())
    assert list(progress.show(turns, trainer, ODD)) == turns
    shown = stdout.buffer.getvalue().decode("ascii")
    assert (r"[/b] [red]a[/] :smile: \x1b[31m" in shown) == is_terminal
    assert bool(shown) == is_terminal
