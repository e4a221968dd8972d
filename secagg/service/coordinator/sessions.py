"""All sessions of a coordinator on the event loop: opened at its start, made, and removed once they are old."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine
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
from .registry import Registry, Unopened
from .reopening import Reopening
from .threads import Threads

OFTEN_SECONDS = 60.0  # a session whose journal fails within them is not opened again at once
OPENING_MAX = 4  # sessions that are opened again at once: more would keep messages from their threads

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
        self._reopening: dict[str, Reopening] = {}
        self._removing: dict[str, Reopening] = {}
        self._reopened: dict[str, tuple[float, Reopening]] = {}  # when, and after which attempts
        self._opening = asyncio.Semaphore(OPENING_MAX)
        self._ending: set[asyncio.Task[Any]] = set()  # remove sessions, or open them again
        self._stopping = asyncio.Event()
        self._ticks = time.monotonic

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
        for name in filter(self._registry.is_unopened, list(self._registry.unopened)):
            self._reopening[name] = again = Reopening()
            self._note_failure(name, again, 0.0)
            self._in_the_background(self._reopen(name, again))

    async def stop(self) -> None:
        """Let go of all sessions; nobody works with them any more."""
        self._stopping.set()
        for again in (*self._reopening.values(), *self._removing.values()):
            again.wake()
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
        if name in self._reopening:
            left = math.ceil(self._reopening[name].ask()) or 1
            raise ServiceProblem(str(Kind.BUSY), f"session {name} cannot be opened now", retry_after=left)
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
        lives = list(self._live.values())  # in one step, since it is asked for from other threads as well
        found = Counter(str(live.running.status) for live in lives)
        return {status: found[status] for status in STATUSES}

    def refresh(self) -> None:
        """Set the gauges."""
        for status, number in self.count().items():
            self._metrics.sessions.labels(status).set(number)
        self._metrics.unopened.set(len(self.unopened))

    @property
    def unopened(self) -> dict[str, dict[str, Any]]:
        """Sessions that are not open although their folders are there: why, and when that is tried again."""
        known, reopening = dict(self._registry.unopened), dict(self._reopening)
        attempts = dict(self._removing) | reopening
        return {name: _told(known.get(name), attempts.get(name)) for name in sorted(known | reopening)}

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
            await (self._remove(live.running) if old else self._reopen(live.name, self._after_failure(live.name)))
        finally:
            self._ending.discard(task)
        self.refresh()

    def _in_the_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _remove(self, session: RunningSession) -> None:
        name = session.folder.name
        self._reopened.pop(name, None)
        self._removing[name] = again = Reopening()
        try:
            while not self._stopping.is_set() and not await self._removed(session, again):
                self.refresh()
                await again.wait(self._stopping)
        finally:
            del self._removing[name]

    async def _removed(self, session: RunningSession, again: Reopening) -> bool:
        name = session.folder.name
        try:
            await self._threads.deliveries(lambda: self._registry.remove(session))
        except Exception as error:  # nobody else tries again
            again.failed(0.0, damaged=False)
            left, unknown = again.seconds_left, not isinstance(error, (SecAggError, OSError))
            log.error(
                "session %s cannot be removed: %s; the next attempt is in %.0f s", name, error, left, exc_info=unknown
            )
            return False
        log.info("session %s: removed", name)
        return True

    def _after_failure(self, name: str) -> Reopening:
        """The attempts to open a session whose journal has failed: at once, unless it was opened again just before."""
        opened, again = self._reopened.pop(name, (-math.inf, Reopening()))
        if self._ticks() >= opened + OFTEN_SECONDS:
            return Reopening()
        again.failed(0.0, damaged=False)
        return again

    async def _reopen(self, name: str, again: Reopening) -> None:
        self._reopening[name] = again
        try:
            while not self._stopping.is_set():
                self.refresh()
                await again.wait(self._stopping)
                async with self._opening:
                    if self._stopping.is_set() or await self._attempted(name, again):
                        return
        finally:
            del self._reopening[name]
            self.refresh()

    async def _attempted(self, name: str, again: Reopening) -> bool:
        """The same as `_opened_again`, where nothing that goes wrong ends the attempts: nobody else makes any."""
        try:
            return await self._opened_again(name, again)
        except Exception:
            again.failed(0.0, damaged=False)
            left = again.seconds_left
            log.exception("session %s cannot be opened; the next attempt is in %.0f s", name, left)
            return False

    async def _opened_again(self, name: str, again: Reopening) -> bool:
        """Whether there is nothing more to open."""
        began = self._ticks()
        running = await self._threads.deliveries(lambda: self._registry.reopen(name))
        if running is None and self._registry.is_unopened(name):
            self._note_failure(name, again, self._ticks() - began)
            return False
        if running is None:
            log.warning("session %s: its folder is gone, and nobody is told of it any more", name)
            return True
        log.info("session %s: opened again", name)
        self._reopened[name] = self._ticks(), again
        if not self._stopping.is_set():
            self._follow(running)
        return True

    def _note_failure(self, name: str, again: Reopening, took: float) -> None:
        damaged = self._registry.unopened[name].damaged
        again.failed(took, damaged=damaged)
        stays = ", and will be in vain until its folder is put right or moved away" if damaged else ""
        log.warning("session %s: the next attempt to open it is in %.0f s%s", name, again.seconds_left, stays)


def _told(unopened: Unopened | None, again: Reopening | None) -> dict[str, Any]:
    """What the operator is told of a session that is not open."""
    return {
        "reason": "its journal has failed" if unopened is None else unopened.reason,
        "damaged": unopened is not None and unopened.damaged,
        "attempts": 0 if again is None else again.attempts,
        "again_in": None if again is None else round(again.seconds_left, 1),
    }
