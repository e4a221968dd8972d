"""Running a role: server processes under uvicorn, or workers alone, until SIGTERM or SIGINT.

SIGHUP opens the log file again, if there is one, and is otherwise ignored.

A server stops in this order: it accepts no new connections, finishes the requests under way, lets workers finish their
step, and writes the uploads that wait. After a kill, the next start goes on from what is stored.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from ...errors import SecAggError, require
from ...http import logs
from ...http.addresses import bound
from ...http.hangup import act_on_hangup, held, on_hangup
from ...http.metrics_server import metrics_served
from ...http.server import configured
from ...http.serving import ReadyServer, allow_files, check_certificate, handled_signals, ignored_signals, listening_url
from ..aggregator.worker import Workers
from ..interop.commands import require_loopback
from .config import Config
from .page.app import page_served
from .process import GAUGE_SECONDS, Process

_CONFIG = "SECAGG_DAP_CONFIG"  # tells a server process its file
_OTHER_FILES = 256  # of a process beside its connections: of the store, the Helper's and the metrics' among them
_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # where server processes put their numbers together

log = logging.getLogger(__name__)


def serve(config: Config, announce: Callable[[str], None], listen: str | None = None, *, interop: bool = False) -> None:
    """Serve a role until SIGTERM or SIGINT.

    Args:
        config: of this Aggregator.
        announce: is told the server's URL once it answers; with several processes, once connections wait for them.
        listen: an address in place of the configured one.
        interop: whether to offer the interop test API, on loopback and by one process only.

    Raises:
        ConfigError, LocalProtocolError, StoreUnavailable: nothing can be served; the message says what to do.
    """
    require(not interop or config.server.processes == 1, "the interop test API takes [server] processes = 1")
    table, here = config.server, f"{config.path}: [server]"
    if table.certificate is not None and table.private_key is not None:
        check_certificate(here, config.file(table.certificate), config.file(table.private_key))
    if config.page.listen is not None:
        config.page_token()  # or the error came late
    allow_files(config.limits.connections + _OTHER_FILES)
    with (
        on_hangup(logs.reopen),
        closing(Process(config)) as process,
        bound(f"{config.path}: [server]", listen or config.server.listen) as sock,
        metrics_served(
            f"{config.path}: [server]", config.server.metrics, process.metrics.text, process.health.describe
        ),
        page_served(f"{config.path}: [page]", config.page.listen, process.page, _announce_page),
    ):
        if interop:
            require_loopback(sock.getsockname()[0])
        url = listening_url(sock, tls=table.certificate is not None)
        if table.processes == 1:
            with ignored_signals():
                ReadyServer(_uvicorn(config, process.app(interop=interop)), lambda: announce(url)).run([sock])
        else:
            _serve_by_processes(config, sock, lambda: announce(url))


def work(config: Config, threads: int, announce: Callable[[str], None]) -> None:
    """Do a role's work beside its servers, on this machine or another one, until SIGTERM or SIGINT.

    Args:
        config: of this Aggregator.
        threads: how many.
        announce: is told once the threads work.

    Raises:
        ConfigError, LocalProtocolError, StoreUnavailable: nothing can be done; the message says what to do.
    """
    here, stop = f"{config.path}: [workers]", threading.Event()
    with (
        on_hangup(logs.reopen),
        closing(Process(config, threads=threads)) as process,
        handled_signals(lambda number, frame: stop.set()),
        metrics_served(here, config.workers.metrics, process.metrics.text, process.health.describe),
        _working(process.workers(threads)),
    ):
        announce(f"{threads} threads")
        while not stop.wait(GAUGE_SECONDS):
            try:
                process.refresh()
            except SecAggError as error:
                log.warning("the gauges are not up to date: %s", error)


def _announce_page(url: str) -> None:
    log.info("the operator's page is at %s", url)


@contextmanager
def _working(workers: Workers) -> Iterator[None]:
    workers.start()
    try:
        yield
    finally:
        workers.stop()


def _serve_by_processes(config: Config, sock: socket.socket, ready: Callable[[], None]) -> None:
    file = str(config.path.absolute())
    with (
        tempfile.TemporaryDirectory(prefix="secagg-metrics-") as folder,
        _environment({_CONFIG: file, _METRICS: folder}),
        ignored_signals(),
    ):
        supervised = _uvicorn(config, f"{__name__}:app", factory=True, workers=config.server.processes)
        supervisor = Multiprocess(supervised, sockets=[sock])
        sock.listen()  # from here on connections wait for the processes that start
        ready()
        with on_hangup(partial(_reopen_logs, supervisor)), held():  # uvicorn would start all processes anew
            supervisor.run()


def _reopen_logs(supervisor: Multiprocess) -> None:
    """Open the log again here, and in all server processes."""
    logs.reopen()
    for process in list(supervisor.processes):
        if process.pid is not None and process.process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGHUP)


def app() -> Starlette:
    """The application of one of several server processes."""
    try:
        config = Config.load(Path(os.environ[_CONFIG]))
        config.start_log()
        act_on_hangup(logs.reopen)
        threading.Thread(target=_follow_parent, daemon=True).start()
        return Process(config).app()
    except (SecAggError, OSError) as error:
        log.error("%s", error)
        sys.exit(STARTUP_FAILURE)  # trying again would not help


def _follow_parent() -> None:
    """Stop this process when its supervisor is gone, for whatever reason: nobody else would."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _uvicorn(config: Config, app: Any, **others: Any) -> uvicorn.Config:
    table = config.server
    return configured(
        app,
        config.bounds(),
        lifespan="on",
        timeout_graceful_shutdown=int(table.shutdown) or 1,
        ssl_certfile=None if table.certificate is None else config.file(table.certificate),
        ssl_keyfile=None if table.private_key is None else config.file(table.private_key),
        **others,
    )


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                del os.environ[name]
            else:
                os.environ[name] = old
