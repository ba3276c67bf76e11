"""Text on stdout, whatever is in the text and whatever stdout is."""

import errno
import io
import sys
from collections.abc import Callable
from typing import Any, TextIO, cast

from rich.console import Console
from rich.text import Text

_SHOWN = "\n\t\u00a0\u3000"  # characters that Python does not call printable


class PlainConsole(Console):
    """A console on which text means nothing but itself.

    There is no markup and no name of an emoji. What a terminal would act on is escaped, and what
    the encoding of stdout cannot express. Where stdout is closed or its terminal is gone, nothing
    is printed; where its reader is gone, printing raises BrokenPipeError.

    Examples:
        >>> PlainConsole().print("[bold] \\x1b[31m :smile:")
        [bold] \\x1b[31m :smile:
    """

    def __init__(self) -> None:
        stdout = cast(TextIO, _Stdout())
        super().__init__(file=stdout, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as it is shown."""
        return super().render_str(plain(text), **options)

    def on_broken_pipe(self) -> None:
        """Leaves it to the caller what that means."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads stdout")


def plain(text: str) -> str:
    """The text with escapes in the place of control characters and others that are not shown.

    Examples:
        >>> plain("red \\x1b[31m, backwards \\u202e, not UTF-8 \\udcff")
        'red \\\\x1b[31m, backwards \\\\u202e, not UTF-8 \\\\udcff'
    """
    return "".join(
        c if c.isprintable() or c in _SHOWN else c.encode("unicode_escape").decode() for c in text
    )


class _Stdout(io.TextIOBase):
    """`sys.stdout`, which may be another one or none at every call."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(_stdout(), "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        shown = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        _try(lambda file: file.write(shown))
        return len(text)

    def flush(self) -> None:
        _try(lambda file: file.flush())

    def isatty(self) -> bool:
        return (file := _stdout()) is not None and file.isatty()


def _stdout() -> TextIO | None:
    """Without rich's own stand-in for it, which prints on the console again."""
    return getattr(sys.stdout, "rich_proxied_file", sys.stdout)


def _try(call: Callable[[TextIO], object]) -> None:
    if (file := _stdout()) is None:
        return
    try:
        call(file)
    except OSError as error:
        if error.errno != errno.EIO:  # of a terminal that is gone
            raise
