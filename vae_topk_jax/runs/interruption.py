"""A run that is asked to stop."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt, SystemExit):
    """A run that SIGINT or SIGTERM has stopped, after a checkpoint.

    It may be caught as a KeyboardInterrupt; where it is not, Python ends with `code`.

    Attributes:
        signal: which.
        step: of the checkpoint.
        code: the exit code of a process that the signal ends: 130 or 143.

    Examples:
        >>> stopped = Interrupted(signal.SIGTERM, step=11)
        >>> print(stopped, stopped.code)
        SIGTERM: saved step 11; go on with resume 143
    """

    def __init__(self, number: int, step: int):
        self.signal = signal.Signals(number)
        super().__init__(f"{self.signal.name}: saved step {step}; go on with resume")
        self.step = step
        self.code = 128 + self.signal


class Interruption:
    """Notes the first SIGINT or SIGTERM while it is entered; a second one acts as it did before.

    A signal that is ignored stays ignored. Outside the main thread, which alone can set handlers,
    nothing is noted.

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
        self._before: dict[signal.Signals, Callable[..., Any] | int] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self.__exit__()
