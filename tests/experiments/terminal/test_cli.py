"""What every command does at its edges."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.terminal import cli


def test_a_reader_that_leaves_ends_a_command_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "experiments.runs", "--help"]
    with open(writer, "w") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_command_can_print_and_write_where_every_stream_is_closed(tmp_path):
    code = """
import sys
from experiments.terminal import cli
with cli.one_line_errors():
    print("nowhere")
    print("nowhere", file=sys.stderr)
    with open(sys.argv[1], "w") as file:
        file.write(str(file.fileno()))
"""
    command = ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", sys.executable, "-c", code]
    assert subprocess.run([*command, tmp_path / "number"]).returncode == 0
    assert int((tmp_path / "number").read_text()) > 2


def test_what_a_stream_cannot_express_is_escaped():
    command = [sys.executable, "-m", "experiments.runs", "show", "ü\x1b[31m"]
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=os.environ | ascii_only, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(r"error: \udcc3\udcbc\x1b[31m holds no run")


def test_an_interrupted_command_says_so(capsys):
    with pytest.raises(SystemExit) as stopped, cli.one_line_errors():
        signal.raise_signal(signal.SIGINT)
    assert stopped.value.code == 128 + signal.SIGINT
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("before", ["signal.default_int_handler", "signal.SIG_IGN"])
def test_an_interrupt_during_the_imports_shows_no_traceback(before):
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, {before})
sys.argv[0] = "-m"
import experiments
signal.raise_signal(signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    ended = {"signal.default_int_handler": -signal.SIGINT, "signal.SIG_IGN": 0}[before]
    assert (done.returncode, done.stderr) == (ended, "")
