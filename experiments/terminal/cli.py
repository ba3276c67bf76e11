"""What the commands share: bad input gives one line on stderr and exit code 2."""

import contextlib
import difflib
import functools
import io
import itertools
import logging
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator

import jax
import tyro

from experiments.terminal import streams
from experiments.terminal.configuration import flags_of, has_configuration, options_from
from vae_topk_jax.runs.plain_console import plain
from vae_topk_jax.runs.progress import console

_STYLE = (tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone)
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


def run(main: Callable[..., None], args: list[str] | None = None) -> None:
    """Calls `main` with its arguments parsed from the command line, or from `args`."""

    @functools.wraps(main)
    def bind(*given, **named) -> Callable[[], None]:
        return functools.partial(main, *given, **named)

    with one_line_errors():
        parse(bind, args)()


def parse(target, args: list[str] | None = None, **options):
    """`tyro.cli` as the commands use it: nested fields are flags of their own, and a configuration
    has the fields of the chosen system alone.

    Args:
        target: a dataclass, or a function that does nothing but return what it is given.
        args: the command line if it is not the program's own.
        options: of `tyro.cli`.

    Raises:
        ValueError: a command line that does not parse, in one line.
    """
    if has_configuration(target):
        words = sys.argv[1:] if args is None else args
        flags = flags_of(target, words, options.pop("default", None))
        return options_from(target, _parse(type(flags), args, default=flags, **options))
    return _parse(target, args, **options)


def _parse(target, args: list[str] | None, **options):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(target, prog=_prog(), args=args, config=_STYLE, **options)
    except SystemExit as stop:
        if stop.code != 2:
            raise
    raise ValueError(_message(printed.getvalue()))


def _prog() -> str | None:
    """How the command was started: `python -m experiments.train`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return None if spec is None else f"python -m {spec.name.removesuffix('.__main__')}"


def _message(box: str) -> str:
    """The error in one of tyro's boxes, in one line, with the flag or the command that may have
    been meant."""
    rows = [row.strip("│ ") for row in _COLOUR.sub("", box).splitlines()[1:]]
    ruled = itertools.groupby(rows, key=lambda row: bool(row.strip("─-")))
    sections = [" ".join(inside) for is_text, inside in ruled if is_text]
    unknown = next((text for text in sections if text.startswith("Unrecognized")), None)
    text = (unknown or sections[0]).removeprefix("Error parsing ")
    return f"{text}{_meant(unknown, ' '.join(sections))}" if unknown else text


def _meant(unknown: str, box: str) -> str:
    """What to write in place of the unknown words, as far as the box tells."""
    if found := re.search("Perhaps you meant:\\s+(--[\\w-]+)", box):
        return f": did you mean {found[1]}?"
    word = unknown.partition(": ")[2].split()[0]
    commands = re.findall("Available subcommands: ([\\w, -]+?) For", box)
    known = commands[0].split(", ") if commands else re.findall("--[\\w-]+", box)
    if close := difflib.get_close_matches(word, [name for name in known if name != word], n=1):
        return f": did you mean {close[0]}?"
    return f": expected one of {', '.join(known)}" if commands else ""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """A ValueError, an OSError or a lack of memory becomes one line and exit code 2, Ctrl-C one
    line and exit code 130.

    Also shows the log of the package, such as where it looked for data.
    """
    streams.prepare()
    with _package_log_on_console():
        try:
            yield
        except KeyboardInterrupt as stop:
            if isinstance(stop, SystemExit):
                raise
            print("interrupted", file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None
        except (ValueError, OSError, MemoryError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, BrokenPipeError) and _reader_is_gone():
                raise SystemExit(128 + signal.SIGPIPE) from None
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            print(f"error: {plain(reason)}", file=sys.stderr)
            raise SystemExit(2) from None


def _reader_is_gone() -> bool:
    """Whether nobody reads stdout any more, as after `... | head`; the rest then goes nowhere."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


class _ConsoleHandler(logging.Handler):
    """Prints what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(record.getMessage())


@contextlib.contextmanager
def _package_log_on_console() -> Iterator[None]:
    log = logging.getLogger("vae_topk_jax")
    handler = _ConsoleHandler()
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
