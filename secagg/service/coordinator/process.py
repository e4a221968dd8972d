"""A coordinator's process: from its configuration, under uvicorn, until SIGTERM or SIGINT.

SIGHUP opens the log file again and reads the participants' tokens again. A server that stops takes no new connections,
answers those who wait for news that there is none, and finishes the requests under way. After a kill, the next start
goes on from the journals.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from ...errors import SecAggError
from ...http import logs
from ...http.addresses import bound
from ...http.hangup import on_hangup
from ...http.metrics_server import metrics_served
from ...http.server import configured
from ...http.serving import (
    ReadyServer,
    allow_files,
    check_certificate,
    ignored_signals,
    listening_url,
    rare_collections,
)
from .config import Config
from .coordinator import Coordinator

_OTHER_FILES = 256  # beside connections and uploads: journals, logs, metrics

log = logging.getLogger(__name__)


def serve(config: Config, announce: Callable[[str], None], listen: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        config: of this coordinator.
        announce: is told the coordinator's URL once it answers.
        listen: an address in place of the configured one.

    Raises:
        ConfigError, LocalProtocolError: nothing can be served; the message says what to do.
        OSError: the folder of state cannot be made or read.
    """
    table, here, address = config.server, f"{config.path}: [server]", listen or config.server.listen
    config.check_listening(address)
    if table.certificate is not None and table.private_key is not None:
        check_certificate(here, config.file(table.certificate), config.file(table.private_key))
    limits = config.limits
    allow_files(limits.connections + limits.uploads + 2 * limits.sessions + _OTHER_FILES)
    with bound(here, address) as sock:
        url = table.url or listening_url(sock, tls=table.certificate is not None)
        coordinator = make_coordinator(config, url)
        with (
            on_hangup(lambda: _read_again(config, coordinator)),
            metrics_served(here, table.metrics, coordinator.metrics.text, coordinator.describe),
            ignored_signals(),
            rare_collections(),
        ):
            server = _Server(config, coordinator, lambda: announce(url))
            server.run([sock])
            if not server.started:
                raise SecAggError("the coordinator did not start: see the log above")


def make_coordinator(config: Config, url: str) -> Coordinator:
    """The coordinator that a configuration describes.

    Args:
        config: of this coordinator.
        url: under which participants know it.

    Raises:
        ConfigError, LocalProtocolError: the configuration's files are not what they should be.
    """
    return Coordinator(
        config.file(config.state.folder),
        url=url,
        operator=config.operator(),
        participants=config.participants(),
        limits=config.app_limits(),
        bounds=config.bounds(),
        metrics_here=config.server.metrics is None,
    )


class _Server(ReadyServer):
    """It runs the coordinator for as long as it serves, and says in one line why that cannot be. When it stops, it lets
    go of those who wait for news before it waits for the requests under way."""

    def __init__(self, config: Config, coordinator: Coordinator, ready: Callable[[], None]) -> None:
        table = config.server
        super().__init__(
            configured(
                coordinator,
                config.bounds(),
                lifespan="off",
                timeout_graceful_shutdown=int(table.shutdown) or 1,
                ssl_certfile=None if table.certificate is None else config.file(table.certificate),
                ssl_keyfile=None if table.private_key is None else config.file(table.private_key),
            ),
            ready,
        )
        self._coordinator = coordinator
        self._running = AsyncExitStack()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        try:
            await self._running.enter_async_context(self._coordinator.running())
        except (SecAggError, OSError) as error:
            self._failure, self.should_exit = error, True
            return
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self._coordinator.let_go()
        await super().shutdown(sockets)
        await self._running.aclose()


def _read_again(config: Config, coordinator: Coordinator) -> None:
    logs.reopen()
    with suppress(OSError):
        try:
            coordinator.set_participants(config.participants())
        except SecAggError as error:
            log.error("the participants' tokens stay as they were: %s", error)
