"""A run that is asked to stop, and a folder that only one run may write."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import filelock

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes the first SIGINT or SIGTERM while it is entered; a second one acts as it usually does.

    Attributes:
        signal: the signal that came, None so far.

    Examples:
        >>> with Interruption() as interruption:
        ...     signal.raise_signal(signal.SIGTERM)
        >>> interruption.signal.name
        'SIGTERM'
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        for known in _SIGNALS:
            signal.signal(known, signal.SIG_DFL)


@contextlib.contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder; the system gives it up when the process dies, however it does.

    Raises:
        ValueError: another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"{folder} is being written by another run") from None
    try:
        yield
    finally:
        lock.release()
