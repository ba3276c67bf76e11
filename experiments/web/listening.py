"""The socket of a server, opened before anything is loaded for it."""

import socket
from collections.abc import Iterable

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ANY = ("0.0.0.0", "::")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Args:
        host: an address of this machine, or its name.
        port: 0: any free one.

    Raises:
        ValueError: no port, or an empty host.
        OSError: the port is in use, or the address is not one of this machine; in one line.

    Examples:
        >>> with listen("127.0.0.1", 0) as listening:
        ...     address(listening).startswith("http://127.0.0.1:")
        True
    """
    if not host:
        raise ValueError("host must be an address or a name, got ''")
    if not 0 <= port < 65536:
        raise ValueError(f"port must lie in [0, 65535], got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        raise OSError(f"cannot listen on {host}:{port}: {reason}") from None
    except ValueError as error:  # a name that cannot be encoded
        raise ValueError(f"host must be an address or a name, got {host!r}: {error}") from None


def address(listening: socket.socket) -> str:
    """The URL of a server on that socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def names(host: str, others: Iterable[str] = ()) -> frozenset[str]:
    """The names by which clients may call a server that listens on `host`: the loopback ones, the
    host itself unless it stands for every address, and others.

    Examples:
        >>> sorted(names("0.0.0.0", ["Gpu.Example.org"]))
        ['127.0.0.1', '::1', 'gpu.example.org', 'localhost']
    """
    itself = () if host in _ANY else (host,)
    return frozenset(name.strip("[]").lower() for name in (*LOOPBACK, *itself, *others))
