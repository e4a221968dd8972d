"""Where a server listens."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LocalProtocolError
from ..settings import ConfigError, is_address
from .urls import parse_server_url


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an address; an IPv6 host comes without its brackets.

    Args:
        address: such as `127.0.0.1:8080` or `[::]:443`.
    """
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether an address leads to this machine only.

    Args:
        address: such as `127.0.0.1:8080` or `[::]:443`.
    """
    host, port = split_address(address)
    try:
        return parse_server_url(f"http://{f'[{host}]' if ':' in host else host}:{port or 1}").loopback
    except LocalProtocolError:
        return False


@contextmanager
def bound(place: str, address: str) -> Iterator[socket.socket]:
    """A socket that is bound to an address, until the block is left.

    Args:
        place: where the address stands, such as `leader.toml: [server]`, for the error.
        address: host and port; port 0 takes a free one.

    Raises:
        ConfigError: nobody can listen there.
    """
    if not is_address(address):
        raise ConfigError(f'{address!r} is no address to listen on: write it like "127.0.0.1:8080" or "[::]:443"')
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except (OSError, TypeError) as error:  # of a host that is no name, too
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"{place} cannot listen on {address}: {reason}") from None
        yield sock
