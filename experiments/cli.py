"""What the commands share: bad input gives one line on stderr and exit code 2."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

import tyro
from rich.logging import RichHandler

from experiments.progress import console


def run(main: Callable[..., None], args: list[str] | None = None) -> None:
    """Calls `main` with its arguments parsed from the command line, or from `args`."""
    with one_line_errors():
        parse(main, args=args)


def parse(target, args: list[str] | None = None, **options):
    """`tyro.cli` as the commands use it: a nested configuration's fields are flags of their own."""
    return tyro.cli(target, args=args, config=(tyro.conf.OmitArgPrefixes,), **options)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """A ValueError or an OSError becomes one line and exit code 2, like a flag that does not parse.

    Also shows the log of the package, such as the roads by which it looked for data.
    """
    with _package_log_on_console():
        try:
            yield
        except (ValueError, OSError) as error:
            first_line = str(error).strip().splitlines()[0]
            print(f"error: {first_line}", file=sys.stderr)
            raise SystemExit(2) from None


@contextlib.contextmanager
def _package_log_on_console() -> Iterator[None]:
    log = logging.getLogger("vae_topk_jax")
    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
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
