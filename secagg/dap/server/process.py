"""One process of an Aggregator, a server or a worker, put together from its configuration."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from ...errors import SecAggError
from ...http.bodies import Bodies
from ...settings import ConfigError
from ..aggregator.directory import Directory
from ..aggregator.health import Health
from ..aggregator.helper import Helper
from ..aggregator.leader import Leader
from ..aggregator.peer import HttpPeer
from ..aggregator.peer_health import PeerHealth, WatchedPeer
from ..aggregator.release import collections_left
from ..aggregator.task_watch import TaskWatch
from ..aggregator.worker import Workers
from ..interop.aggregator import Aggregator as InteropAggregator
from ..metrics import Metrics
from ..store.outcomes import keep_tally
from ..store.reports import count_open_reports, find_oldest_open_bucket
from ..store.tasks import KnownTasks
from .app import helper_app, leader_app
from .common import Context
from .config import Config, HelperClient, HelperJobs
from .page.app import Page

CONNECT_SECONDS = 10.0  # to a Helper, at most
GAUGE_SECONDS = 10.0  # between looks at what the store holds

log = logging.getLogger(__name__)


class Process:
    """What a process works with.

    Args:
        config: of this Aggregator.
        clock: POSIX seconds.
        threads: how many workers it will have; None for those that are configured.

    Attributes:
        config: the same.
        store: opened by it.
        metrics: counts what is done.
        health: says how the Aggregator is, in detail.
        directory: tasks and keys.
        context: what every resource needs.
        aggregator: the Leader or the Helper.

    Raises:
        ConfigError, LocalProtocolError, StoreUnavailable: nothing can be served; the message says what to do.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = time.time, threads: int | None = None) -> None:
        self.config = config
        self._http = None if config.helper is None else helper_client(config, config.helper)
        self.store = config.open_store()
        self.metrics = Metrics()
        self.directory = Directory(self.store, clock)
        self._clock = clock
        self.health = Health(self.store, config.role, clock)
        later = isinstance(config.jobs, HelperJobs) and config.jobs.later
        self.context = Context(
            self.directory,
            self.metrics,
            config.app_limits(),
            Bodies(config.bounds()),
            clock,
            helper_later=later,
            metrics_here=config.server.metrics is None,
            health=self.health.describe,
            opt_in=config.opt_in(self.store),
        )
        self.aggregator: Leader | Helper = Helper(self.store, self.metrics.count_job)
        self._watch = TaskWatch(self.store)
        if self._http is not None:
            health = PeerHealth(threads or config.workers.threads, on_error=self._count_peer_error)
            peer = HttpPeer(self._http, clock)
            self.aggregator = Leader(self.store, WatchedPeer(peer, health), config.settings(), health)
            self._watch = TaskWatch(self.store, peer, health)
        self._tasks = KnownTasks()
        try:
            advertised = self.directory.advertised().configs  # opens every key, and fails under another secret
        except SecAggError:
            self.close()
            raise
        if not advertised:
            log.warning("no HPKE key is advertised: make one with `secagg dap key new --config %s`", config.path)

    def _count_peer_error(self, kind: str) -> None:
        self.metrics.peer_errors.labels(kind).inc()

    def workers(self, threads: int) -> Workers:
        """Threads that work for this Aggregator; they are not started yet.

        Args:
            threads: how many.
        """
        return Workers(self.aggregator, self.directory, self.metrics, threads, self._clock, self._watch)

    def app(self, *, interop: bool = False) -> Starlette:
        """The role's application; its workers run while it does, and everything is closed when it ends.

        Args:
            interop: whether it has the interop test API, through which anybody may add tasks.
        """
        if isinstance(self.aggregator, Leader):
            made = leader_app(self.aggregator, self.context, self._lifespan)
        else:
            made = helper_app(self.aggregator, self.context, self._lifespan)
        if interop:
            made.router.routes += InteropAggregator(self.store, self.config.role).routes(self.context.bodies)
        return made

    def page(self, url: str) -> Page:
        """The operator's page.

        Args:
            url: of the address on which it is served.

        Raises:
            ConfigError: there is no token for it.
        """
        config = self.config
        return Page(self.context, self.store, config.role, config.page.url or url, config.page_token())

    def refresh(self) -> None:
        """Store what was counted, and set the gauges that follow from the store."""
        keep_tally(self.store, self.metrics.tally, self._clock())
        with self.store.read() as tx:
            records = self._tasks.list_all(tx)
            depth = count_open_reports(tx)
            oldest = [(record.task.time_precision, find_oldest_open_bucket(tx, record)) for record in records]
            left = [(r.task, count) for r in records if (count := collections_left(tx, r)) is not None]
        times = [precision * bucket for precision, bucket in oldest if bucket is not None]
        self.metrics.queue_depth.set(depth)
        self.metrics.oldest_seconds.set(max(0.0, self._clock() - min(times)) if times else 0.0)
        self.metrics.set_releases_left(left)

    def close(self) -> None:
        """Store what was counted, and close the store and the HTTP client."""
        self._keep_tally()
        if self._http is not None:
            self._http.close()
        self.store.close()

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        workers = self.workers(self.config.workers.threads)
        workers.start()
        gauges = asyncio.create_task(self._refresh_gauges())
        try:
            yield
        finally:
            gauges.cancel()
            await asyncio.gather(gauges, return_exceptions=True)
            await run_in_threadpool(workers.stop)
            await run_in_threadpool(self._keep_tally)
            log.info("workers have stopped")

    def _keep_tally(self) -> None:
        try:
            keep_tally(self.store, self.metrics.tally, self._clock())
        except SecAggError as error:
            log.warning("what was counted last is not stored: %s", error)

    async def _refresh_gauges(self) -> None:
        while True:
            try:
                await run_in_threadpool(self.refresh)
            except Exception as error:
                log.warning("the gauges are not up to date: %s", error)
            await asyncio.sleep(GAUGE_SECONDS)


def helper_client(config: Config, table: HelperClient) -> httpx.Client:
    """The Leader's HTTP client. It follows the configuration alone, not the environment, and no redirect.

    Args:
        config: names the files.
        table: its table [helper].

    Raises:
        ConfigError: certificates or proxy cannot be used.
    """
    try:
        ca = None if table.ca is None else str(config.file(table.ca))
        verify = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{config.path}: [helper] ca cannot be used: {error}") from None
    try:
        return httpx.Client(
            verify=verify,
            timeout=httpx.Timeout(table.timeout, connect=min(table.timeout, CONNECT_SECONDS)),
            limits=httpx.Limits(max_connections=table.connections, max_keepalive_connections=table.connections),
            proxy=table.proxy,
            trust_env=False,
        )
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{config.path}: [helper] proxy cannot be used: {error}") from None
