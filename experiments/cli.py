"""What the commands share: bad input gives one line on stderr and exit code 2."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

import tyro


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

    Also sets up logging, so that the roads that the data took are told.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("absl", "jax", "matplotlib", "orbax"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        yield
    except (ValueError, OSError) as error:
        first_line = str(error).strip().splitlines()[0]
        print(f"error: {first_line}", file=sys.stderr)
        raise SystemExit(2) from None
