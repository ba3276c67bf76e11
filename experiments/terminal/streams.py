"""What a command needs of its streams and signals before it does anything."""

import io
import os
import signal
import sys
import threading


def prepare() -> None:
    """Makes the standard streams usable whatever they are, and Ctrl-C an exception.

    What the encoding of a stream cannot express is escaped. A closed one leads nowhere, and no file
    that is opened later gets its number, by which a library would print into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    is_main_thread = threading.current_thread() is threading.main_thread()
    if is_main_thread and signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
