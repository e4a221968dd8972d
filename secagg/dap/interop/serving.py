"""Running a Client or a Collector that a test runner drives."""

from collections.abc import Callable

from starlette.applications import Starlette

from ...http.addresses import bound
from ...http.bounds import Bounds
from ...http.server import configured
from ...http.serving import ReadyServer, ignored_signals, listening_url
from .commands import require_loopback


def serve(app: Starlette, listen: str, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        app: the Client or the Collector.
        listen: an address on loopback; port 0 takes a free one.
        announce: is told the server's URL once it answers.

    Raises:
        ConfigError: nobody can listen there.
        LocalProtocolError: others could reach it.
    """
    with bound("--listen", listen) as sock:
        require_loopback(sock.getsockname()[0])
        url = listening_url(sock, tls=False)
        with ignored_signals():
            ReadyServer(configured(app, Bounds(), lifespan="on"), lambda: announce(url)).run([sock])
