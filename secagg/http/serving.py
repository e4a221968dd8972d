"""Running a server in this process: TLS, open files, signals, and who is told that it answers."""

import gc
import logging
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from ..settings import ConfigError

YOUNG_OBJECTS = 20_000
"""That are made before garbage among them is looked for: of a hundred requests or so."""

log = logging.getLogger(__name__)


class ReadyServer(uvicorn.Server):
    """uvicorn's server, which says when it answers.

    Args:
        config: uvicorn's, as `configured` makes it.
        ready: is called once; where it raises OSError, as nobody reads what it prints, the server stops in order.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._failure: Exception | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal.

        Raises:
            OSError: what `ready` has raised.
            Exception: why a subclass could not start.
        """
        super().run(sockets)
        if self._failure is not None:
            raise self._failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        if self.started:
            try:
                self._ready()
            except OSError as error:
                self._failure, self.should_exit = error, True


def allow_files(wanted: int) -> None:
    """Raise the soft limit of open files, which is often 1,024: else connections beyond it could not make room for one
    another, and files could not be opened.

    Args:
        wanted: how many may be open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        log.warning("%d files may be open, %d may be needed: raise the limit, or lower connections", hard, wanted)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_certificate(place: str, certificate: Path, private_key: Path) -> None:
    """Refuse a certificate that a server could not use, before it starts.

    Args:
        place: where the two are named, such as `leader.toml: [server]`, for the error.
        certificate: the chain, PEM.
        private_key: PEM, without a password.

    Raises:
        ConfigError: they cannot be used.
    """
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, private_key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{place} certificate and private_key cannot be used: {error}") from None


def listening_url(sock: socket.socket, *, tls: bool) -> str:
    """The URL of a server by its address.

    Args:
        sock: that it listens on.
        tls: whether it speaks TLS.
    """
    host, port = sock.getsockname()[:2]
    host_text = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{host_text}:{port}"


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for garbage less often until the block is left, and not among what the start has made.

    A thousand requests that wait are a hundred thousand objects, none of them garbage: to look through them each time
    that 700 more were made takes a fifth of a busy server's time.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def ignored_signals() -> Any:
    """uvicorn raises the signal that stopped it again once it has stopped; in this block a graceful stop is a
    success."""
    return handled_signals(lambda number, frame: None)


@contextmanager
def handled_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle SIGTERM and SIGINT until the block is left.

    Args:
        handler: as for `signal.signal`.
    """
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
