"""What every command does at its edges."""

import os
import signal
import subprocess
import sys


def test_a_reader_that_leaves_ends_a_command_without_a_word():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "experiments.runs", "--help"]
    with open(writer, "w") as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")
