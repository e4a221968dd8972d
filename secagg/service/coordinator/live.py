"""A session on the event loop: who waits for its news, who sends to it, and when its rounds are to end.

Messages come in by the thousand, and most change nothing that anybody waits for. So those who wait are woken only when
a round or the session ends, and the session is asked for a decision at most once in TICK_GAP seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ...errors import LocalProtocolError
from ...http.signals import Signal
from ...protocol.messages import Round
from ..journal import JournalFailed, Spool
from ..names import Name
from ..problems import NO_SESSION, ONE_AT_A_TIME, ServiceProblem
from ..refusals import Kind
from ..running import Arrival, RunningSession
from .batches import Batches, each
from .metrics import Metrics
from .threads import Threads

TICK_GAP = 0.01
RETRY_SECONDS = 1.0  # after a decision has failed
LONGEST_SLEEP = 3600.0  # between two looks at the clock, which may be set
SUM_SECONDS = 60.0  # for which a sum stays in memory after it was read

log = logging.getLogger(__name__)

T = TypeVar("T")


class Published(NamedTuple):
    """A result as it is read by many.

    Attributes:
        survivors: U3.
        sha256: of the sum.
        npy: the sum in NumPy's format.
    """

    survivors: tuple[int, ...]
    sha256: str
    npy: bytes


class LiveSession:
    """A running session, and all that wait for it.

    Args:
        running: the session.
        threads: where it works.
        metrics: counts what it does.
        clock: POSIX seconds.
        gone: is called once, when the session is to be removed (True) or opened again (False).

    Attributes:
        running: as above.
        name: of the session.
        changed: set once a round or the session has ended, and then replaced by another.
        news: how often anything has changed.
    """

    def __init__(
        self,
        running: RunningSession,
        threads: Threads,
        metrics: Metrics,
        clock: Callable[[], float],
        gone: "Callable[[LiveSession, bool], Awaitable[None]]",
    ) -> None:
        self.running = running
        self.name = running.setup.name
        self.changed = Signal()
        self.news = 0
        self._threads = threads
        self._metrics = metrics
        self._clock = clock
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._looks: Batches[Callable[[], Any], Any] = Batches(threads.quick, each)
        self._arrivals: Batches[Arrival, None] = Batches(threads.deliveries, self._deliver)
        self._due = asyncio.Event()
        self._seen = (running.status, running.round)
        self._users: dict[Name, int] = {}
        self._sending: set[Name] = set()
        self._polls: dict[int, Signal] = {}
        self._let_go = False  # another object goes on with the session, or none
        self._removed = False
        self._ticking: asyncio.Future[float | None] | None = None
        self._ending: asyncio.Future[None] | None = None
        self._published: asyncio.Future[Published] | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._unsubscribe = running.subscribe(self._tell)
        self._following = asyncio.create_task(self._follow(), name=f"session {self.name}")

    # Who speaks.

    def user_of(self, who: Name) -> int:
        """The user id of a participant who has joined. It blocks.

        Args:
            who: the name or number, or in the active model the user id.

        Raises:
            Refused: the participant has not joined.
        """
        if who not in self._users:
            self._users[who] = self.running.user_of(who)
        return self._users[who]

    def knows(self, who: Name) -> bool:
        """Whether `user_of` need not look into the session.

        Args:
            who: as there.
        """
        return self.running.setup.roster is not None or who in self._users

    @contextmanager
    def sending(self, who: Name) -> Iterator[None]:
        """A participant sends something; until the block is left it may not send more.

        Args:
            who: the name or number, or in the active model the user id.

        Raises:
            ServiceProblem: it is sending something already (429).
        """
        if who in self._sending:
            raise ServiceProblem(ONE_AT_A_TIME, "wait for the answer to your other request", retry_after=1)
        self._sending.add(who)
        try:
            yield
        finally:
            self._sending.discard(who)

    # Who waits.

    @contextmanager
    def polling(self, user: int) -> Iterator[Signal]:
        """A participant waits for news; the signal is set once another request of the same user waits in its place.

        Args:
            user: the user id.
        """
        replaced = Signal()
        if user in self._polls:
            self._polls[user].set()
        self._polls[user] = replaced
        self._metrics.polls.inc()
        try:
            yield replaced
        finally:
            self._metrics.polls.dec()
            if self._polls.get(user) is replaced:
                del self._polls[user]

    def _tell(self) -> None:
        """From any thread: something has changed."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._due.set()
        self.news += 1
        now = self.running.status, self.running.round
        if now != self._seen:
            self._count(now)
            self._seen = now
            self.changed.set()
            self.changed = Signal()

    def _count(self, now: tuple[str, Any]) -> None:
        status, before = now[0], self._seen[1]
        if before is not None and status != "aborted":
            self._metrics.rounds.labels(str(before)).inc()
        if status != self._seen[0]:
            self._metrics.ended.labels(str(status)).inc()
        log.info("session %s: %s", self.name, now[1] if now[1] is not None else status)

    # What it was for.

    async def published(self) -> Published:
        """The result; all who read it at about the same time get one copy.

        Raises:
            Refused: there is none.
            ServiceProblem: as for `work`.
        """
        if self._published is None:
            self._published = asyncio.ensure_future(self._guarded(self._threads.quick(partial(_publish, self.running))))
        try:
            return await asyncio.shield(self._published)
        except Exception:
            self._published = None
            raise
        finally:
            if self._forgetting is not None:
                self._forgetting.cancel()
            self._forgetting = self._loop.call_later(SUM_SECONDS, self._forget)

    def _forget(self) -> None:
        self._published = self._forgetting = None

    # What it does.

    async def work(self, act: Callable[..., T], *arguments: Any) -> T:
        """What a method of the session gives, on a thread that answers many requests at once.

        Args:
            act: the method.
            arguments: its own.

        Raises:
            ServiceProblem: the session's journal has failed, or the session is being opened again (503), or it is
                removed (404).
        """
        done: T = await self._guarded(self._looks.do(partial(act, *arguments)))
        return done

    async def take(self, user: int, round: Round, spool: Spool) -> None:
        """Give the session a message; when this returns, it is on disk and counts. Many are given at once.

        Args:
            user: the sender's id.
            round: the round that it answers.
            spool: its bytes.

        Raises:
            ServiceProblem: as for `work`.
            Refused: the session does not take it.
            OSError: the disk does not take it.
        """
        if spool.has_file:  # long ones wait for the disk beside one another, and not one after another
            await self._guarded(self._threads.deliveries(spool.seal))
        await self._guarded(self._arrivals.do(Arrival(user, round, spool)))

    def _deliver(self, arrivals: list[Arrival]) -> list[Exception | None]:
        return self.running.deliver_all(arrivals)

    async def deliver(self, act: Callable[..., T], *arguments: Any) -> T:
        """The same as `work`, on a thread that waits for the disk.

        Args:
            act: the method.
            arguments: its own.

        Raises:
            ServiceProblem: as for `work`.
        """
        return await self._guarded(self._threads.deliveries(partial(act, *arguments)))

    async def write(self, act: Callable[[bytes], None], part: bytes) -> None:
        """Write a part of a message to disk, on a thread.

        Args:
            act: the method.
            part: what to write.

        Raises:
            ServiceProblem: as for `work`.
            OSError: the disk does not take it.
        """
        await self._guarded(self._threads.writes(partial(act, part)))

    async def _guarded(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except JournalFailed as error:
            await self._fail(error)
            raise _away() from None
        except LocalProtocolError:
            if self._removed:
                raise ServiceProblem(NO_SESSION, f"there is no session {self.name} here any more") from None
            if self._let_go:
                raise _away() from None
            raise

    async def _fail(self, error: Exception) -> None:
        """The journal has failed: another object goes on from what is on disk."""
        if not self._let_go:
            self._let_go = True
            log.error("session %s: %s", self.name, error)
            self._metrics.failures.inc()
            self._unsubscribe()
            self._following.cancel()
            self.changed.set()
            self._ending = asyncio.ensure_future(self._gone(self, False))

    async def _follow(self) -> None:
        """Ask for decisions when they are due, until the session is to be removed."""
        while True:
            self._due.clear()
            pause = await self._tick()
            if pause is None:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause, LONGEST_SLEEP)):
                    await self._due.wait()
            await asyncio.sleep(TICK_GAP)
        self._let_go = self._removed = True
        self._unsubscribe()
        self.changed.set()
        await self._gone(self, True)

    async def _tick(self) -> float | None:
        """Seconds until the next look; None if the session has been over for long enough."""
        try:
            if self.running.expired:
                return None
            self._ticking = asyncio.ensure_future(self._threads.ticks(self.running.tick))
            self._ticking.add_done_callback(_heard)
            until = await asyncio.shield(self._ticking)
        except JournalFailed as error:
            await self._fail(error)
            return LONGEST_SLEEP
        except Exception:  # of the executor, such as a worker that died
            log.exception("session %s: a decision could not be carried out; it will be tried again", self.name)
            return RETRY_SECONDS
        return LONGEST_SLEEP if until is None else max(0.0, until - self._clock())

    async def stop(self) -> None:
        """Follow the session no more, and let nobody wait. No thread works on a decision when this returns."""
        self._let_go = True
        self._unsubscribe()
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._following.cancel()
        self.changed.set()
        await asyncio.gather(self._following, return_exceptions=True)
        if self._ticking is not None:
            await asyncio.gather(self._ticking, return_exceptions=True)


def _heard(ticking: asyncio.Future[Any]) -> None:
    """Whoever asked for this may have stopped listening."""
    if not ticking.cancelled():
        ticking.exception()


def _publish(running: RunningSession) -> Published:
    result, file = running.result(), BytesIO()
    np.save(file, result.sum.astype(result.sum.dtype.newbyteorder("<"), copy=False), allow_pickle=False)
    return Published(result.survivors, result.sha256, file.getvalue())


def _away() -> ServiceProblem:
    return ServiceProblem(str(Kind.BUSY), "the session is being opened again; try again later", retry_after=1)
