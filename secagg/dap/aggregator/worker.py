"""Workers: threads that lease an Aggregator's jobs and do them while nobody asks.

Any number of processes may run workers on one store. A worker leases what it does, and a lease that a crash leaves
behind runs out.
"""

import logging
import threading
import time
from collections.abc import Callable

from ...errors import SecAggError
from ..metrics import Metrics
from ..store.garbage import GarbageCollector
from .directory import Directory
from .helper import Helper
from .leader import Leader
from .task_watch import TaskWatch

IDLE = 0.1  # seconds between looks where nothing is due
GATHER = 1.0  # seconds after which jobs are made although there are too few reports for a full one
WATCH = 1.0  # seconds between looks for new tasks
SET = 60.0  # seconds by which two clocks may drift apart; beyond, one was set, and nothing is deleted for its age
GARBAGE = 600.0  # seconds between collections of garbage

log = logging.getLogger(__name__)


class Workers:
    """Threads that work for a Leader or a Helper until they are stopped.

    Args:
        aggregator: for whom.
        directory: of its keys.
        metrics: counts what is done.
        threads: how many.
        clock: POSIX seconds.
        watch: notices tasks, on a thread of its own that waits for no job; None to do without.
    """

    def __init__(
        self,
        aggregator: Leader | Helper,
        directory: Directory,
        metrics: Metrics,
        threads: int = 1,
        clock: Callable[[], float] = time.time,
        watch: TaskWatch | None = None,
    ) -> None:
        self._aggregator = aggregator
        self._directory = directory
        self._metrics = metrics
        self._clock = clock
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i == 0,), daemon=True) for i in range(threads)]
        if watch is not None and threads:
            self._threads.append(threading.Thread(target=self._watch, args=(watch,), daemon=True))

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Let each thread finish its step, and wait for it.

        Args:
            timeout: the longest wait for each thread, in seconds.
        """
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout)

    def wait(self) -> None:
        """Wait until `stop` is called."""
        self._stop.wait()

    def _run(self, first: bool) -> None:
        steps = [Housekeeping(self._aggregator).step, self.step] if first else [self.step]
        while not self._stop.is_set():
            busy = [self._tried(step) for step in steps]
            if None in busy:
                self._stop.wait(1.0)
            elif not any(busy):
                self._stop.wait(IDLE)

    def _watch(self, watch: TaskWatch) -> None:
        while not self._stop.is_set():
            if not self._tried(watch.step):
                self._stop.wait(WATCH)

    def _tried(self, step: Callable[[float], bool]) -> bool | None:
        """What a step returns; None if it failed. A failed step does not keep others from going on."""
        try:
            return step(self._clock())
        except SecAggError as error:
            log.warning("a step failed and will be tried again: %s", error)
        except Exception:
            log.exception("a step failed")
        return None

    def step(self, now: float) -> bool:
        """Take one step of whatever is due.

        Args:
            now: POSIX seconds.

        Returns:
            Whether anything was due.
        """
        keys = self._directory.private_keys()
        started = time.perf_counter()
        if isinstance(self._aggregator, Helper):
            worked = self._aggregator.work(keys, now)
            if worked:
                self._metrics.job_seconds.observe(time.perf_counter() - started)
            return worked
        done = self._aggregator.work_job(keys, now)
        if done is not None:
            self._metrics.job_seconds.observe(time.perf_counter() - started)
            if done.task is not None:
                self._metrics.count_job(done.task, done.aggregated, done.errors)
        collection = self._aggregator.collections.work(now)
        if collection is not None and collection.finished:
            self._metrics.batch_sizes.observe(self._aggregator.collections.count_reports(collection))
        return done is not None or collection is not None


class Housekeeping:
    """What one thread of a process does beside its steps, by a clock that nobody sets.

    Args:
        aggregator: for whom.
    """

    def __init__(self, aggregator: Leader | Helper) -> None:
        self._aggregator = aggregator
        self._garbage = GarbageCollector(aggregator.store)
        self._gathered = self._swept = float("-inf")
        self._ahead: float | None = None  # of this clock, when garbage was collected last

    def step(self, now: float) -> bool:
        """Make jobs of waiting reports, and collect garbage once in a while.

        Args:
            now: POSIX seconds.

        Returns:
            False: there is no reason to hurry on.
        """
        ticks = time.monotonic()
        if isinstance(self._aggregator, Leader):
            some = ticks - self._gathered >= GATHER
            self._gathered = ticks if some else self._gathered
            self._aggregator.create_jobs(now, min_reports=1 if some else self._aggregator.settings.job_size)
        if ticks - self._swept >= GARBAGE:
            self._swept = ticks
            steady = self._ahead is not None and abs(now - ticks - self._ahead) < SET
            self._ahead = now - ticks
            self._garbage.run(now if steady else None)
        return False
