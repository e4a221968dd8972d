"""All sessions of a coordinator on the event loop: opened at its start, made, and removed once they are old."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ...errors import SecAggError
from ..problems import NO_SESSION, ServiceProblem
from ..refusals import Kind
from ..resources import SESSION_NAME
from ..running import RunningSession
from ..setup import SessionSetup
from .live import LiveSession
from .metrics import Metrics
from .registry import Registry
from .threads import Threads

REOPEN_SECONDS = 5.0  # between attempts to open a session whose disk has failed
OFTEN_SECONDS = 60.0  # a session that fails within them is not opened again at once

T = TypeVar("T")

STATUSES = ("running", "finished", "aborted")

log = logging.getLogger(__name__)


class Sessions:
    """The sessions by name.

    Args:
        registry: the folder.
        threads: where they work.
        metrics: counts what they do.
        clock: POSIX seconds.

    Attributes:
        clock: as above.
    """

    def __init__(
        self, registry: Registry, threads: Threads, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock
        self._registry = registry
        self._threads = threads
        self._metrics = metrics
        self._live: dict[str, LiveSession] = {}
        self._reopening: set[str] = set()
        self._reopened: dict[str, float] = {}  # when, on the loop's clock
        self._ending: set[asyncio.Task[Any]] = set()  # remove sessions, or open them again
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Go on with all that are in the folder.

        Raises:
            OSError: the folder cannot be made or read.
            LocalProtocolError: the folder is not one that only we can write to.
        """
        self._stopping.clear()
        await anyio.to_thread.run_sync(self._registry.open_all)
        for running in self._registry.sessions:
            self._follow(running)

    async def stop(self) -> None:
        """Let go of all sessions; nobody works with them any more."""
        self._stopping.set()
        for live in list(self._live.values()):
            await live.stop()
        self._live.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await anyio.to_thread.run_sync(self._registry.close)

    @property
    def all(self) -> list[LiveSession]:
        """All of them, the latest first."""
        return sorted(self._live.values(), key=lambda live: (-live.running.setup.created, live.name))

    def find(self, request: Request) -> LiveSession:
        """The session that a request names.

        Args:
            request: with the path parameter `session`.

        Raises:
            ServiceProblem: there is no such session; or there is one, which cannot be opened now (503).
        """
        name: str = request.path_params["session"]
        if SESSION_NAME.fullmatch(name) is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        if name in self._live:
            return self._live[name]
        if name in self._reopening or self._registry.is_unopened(name):
            raise ServiceProblem(str(Kind.BUSY), f"session {name} cannot be opened now", retry_after=REOPEN_SECONDS)
        raise ServiceProblem(NO_SESSION, f"there is no session {name} here")

    async def create(self, setup: SessionSetup) -> LiveSession:
        """A new session, which is on disk when this returns.

        Args:
            setup: all that is fixed.

        Raises:
            ServiceProblem: there is a session of this name, or there are as many as there may be.
            LocalProtocolError: what is in the folder of this name is no session.
            OSError: the disk cannot take it.
        """
        running = await self._threads.deliveries(lambda: self._registry.create(setup))
        log.info("session %s: made, for %d users", setup.name, setup.params.n)
        return self._follow(running)

    async def work(self, act: Callable[[], T]) -> T:
        """What takes a few milliseconds, on a thread.

        Args:
            act: what to do.
        """
        return await self._threads.quick(act)

    def count(self) -> dict[str, int]:
        """How many sessions there are by status."""
        found = Counter(str(live.running.status) for live in self._live.values())
        return {status: found[status] for status in STATUSES}

    def refresh(self) -> None:
        """Set the gauges."""
        for status, number in self.count().items():
            self._metrics.sessions.labels(status).set(number)

    @property
    def unopened(self) -> dict[str, str]:
        """Sessions that could not be opened, and why."""
        return dict(self._registry.unopened)

    def _follow(self, running: RunningSession) -> LiveSession:
        live = LiveSession(running, self._threads, self._metrics, self.clock, self._gone)
        self._live[live.name] = live
        self.refresh()
        return live

    async def _gone(self, live: LiveSession, old: bool) -> None:
        """A session is over for long enough, or its journal has failed."""
        if self._live.get(live.name) is not live:  # the coordinator has stopped
            return
        del self._live[live.name]
        task = asyncio.current_task()
        assert task is not None
        self._ending.add(task)
        try:
            await (self._remove if old else self._reopen)(live.name)
        finally:
            self._ending.discard(task)
        self.refresh()

    async def _remove(self, name: str) -> None:
        self._reopened.pop(name, None)
        try:
            await self._threads.deliveries(lambda: self._registry.remove(name))
            log.info("session %s: removed", name)
        except (SecAggError, OSError) as error:
            log.error("session %s cannot be removed: %s", name, error)

    async def _reopen(self, name: str) -> None:
        self._reopening.add(name)
        try:
            now = asyncio.get_running_loop().time()
            if name in self._reopened and now < self._reopened[name] + OFTEN_SECONDS:
                await self._pause()
            self._reopened[name] = now
            while not self._stopping.is_set():
                if await self._opened_again(name):
                    return
                await self._pause()
        finally:
            self._reopening.discard(name)

    async def _opened_again(self, name: str) -> bool:
        running = await self._threads.deliveries(lambda: self._registry.reopen(name))
        if running is None:
            return False
        log.info("session %s: opened again", name)
        if not self._stopping.is_set():
            self._follow(running)
        return True

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(REOPEN_SECONDS):
                await self._stopping.wait()
