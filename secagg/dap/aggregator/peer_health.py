"""Which Helpers answer. One that does not must not keep two or more workers from the jobs of all others."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from ..problems import DapProblem
from ..store.engine import Tx
from ..store.tasks import KnownTasks, TaskRecord
from .peer import Answer, Peer, PeerUnavailable

FAILURES = 3  # in a row, after which a Helper rests
PAUSES = 1.0, 300.0  # seconds: the first rest, and the longest; each is twice the one before


@dataclass
class _State:
    calls: int = 0
    failures: int = 0
    pause: float = PAUSES[0]
    rests_until: float = 0.0


class PeerHealth:
    """What this process knows of the Helpers of all tasks.

    Where there are several Helpers, at most half of the workers wait for one, but at least one. After three failures in
    a row its jobs rest, for 1 s at first and twice as long each time up to 5 minutes; then one call tries whether it is
    back.

    Args:
        workers: how many threads make calls.
        clock: seconds that nobody sets.
        on_error: is told the kind of each failure.
    """

    def __init__(
        self,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
        on_error: Callable[[str], None] = lambda kind: None,
    ) -> None:
        self._workers = max(1, workers)
        self._calls_max = max(1, workers // 2)
        self._clock = clock
        self._on_error = on_error
        self._states: dict[str, _State] = {}
        self._lock = Lock()

    def unavailable(self) -> set[str]:
        """The URLs of the Helpers that rest, or that as many calls wait for as may."""
        with self._lock:
            return {url for url, state in self._states.items() if not self._may_call(state)}

    def resting_tasks(self, tx: Tx, tasks: KnownTasks) -> list[int]:
        """The numbers of the tasks whose Helper is unavailable.

        Args:
            tx: a transaction.
            tasks: those that were loaded.
        """
        urls = self.unavailable()
        return [record.key for record in tasks.list_all(tx) if record.task.helper_url in urls] if urls else []

    @contextmanager
    def call(self, url: str, passing: Collection[str] = ()) -> Iterator[None]:
        """A call to a Helper, whose outcome counts.

        Args:
            url: the Helper's.
            passing: kinds of failures that count neither for nor against it.

        Raises:
            PeerUnavailable: the Helper rests, or enough calls wait for it.
        """
        with self._lock:
            state = self._states.setdefault(url, _State())
            may_call, rests = self._may_call(state), state.failures >= FAILURES
            state.calls += may_call
        if not may_call:
            self._on_error("resting")
            reason = "has failed, and is left alone for a while" if rests else "is asked by as many workers as may be"
            raise PeerUnavailable(f"the Helper {reason}", kind="resting")
        failed: bool | None = False
        try:
            yield
        except PeerUnavailable as error:
            failed = None if error.kind in passing else True
            self._on_error(error.kind)
            raise
        except DapProblem:
            self._on_error("refused")
            raise
        finally:
            with self._lock:
                state.calls -= 1
                if failed is not None:
                    self._count(state, failed)

    def _may_call(self, state: _State) -> bool:
        several = len(self._states) > 1
        calls_max = 1 if state.failures >= FAILURES else self._calls_max if several else self._workers
        return state.calls < calls_max and self._clock() >= state.rests_until

    def _count(self, state: _State, failed: bool) -> None:
        if not failed:
            state.failures, state.pause, state.rests_until = 0, PAUSES[0], 0.0
            return
        state.failures += 1
        if state.failures >= FAILURES:
            state.rests_until = self._clock() + state.pause
            state.pause = min(2 * state.pause, PAUSES[1])


class WatchedPeer:
    """A peer whose calls count.

    Args:
        peer: makes them.
        health: counts them.
    """

    def __init__(self, peer: Peer, health: PeerHealth) -> None:
        self._peer = peer
        self._health = health

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        """See `Peer.create_job`."""
        with self._health.call(record.task.helper_url):
            return self._peer.create_job(record, body, job_id)

    def poll_job(self, record: TaskRecord, location: str) -> Answer:
        """See `Peer.poll_job`."""
        with self._health.call(record.task.helper_url):
            return self._peer.poll_job(record, location)

    def delete_job(self, record: TaskRecord, location: str) -> None:
        """See `Peer.delete_job`."""
        with self._health.call(record.task.helper_url):
            self._peer.delete_job(record, location)

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        """See `Peer.create_share`."""
        with self._health.call(record.task.helper_url):
            return self._peer.create_share(record, body)

    def poll_share(self, record: TaskRecord, location: str) -> Answer:
        """See `Peer.poll_share`."""
        with self._health.call(record.task.helper_url):
            return self._peer.poll_share(record, location)
