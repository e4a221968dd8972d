"""A deployment on this machine: simulated browsers report network errors, and a Collector gets their histogram.

Leader, Helper and Collector are processes that run the same commands as anywhere else. The browsers are simulated in
the process that calls this.
"""

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from ...dap import task_file
from ...dap.client.upload import TIMEOUT, Client
from ...dap.privacy.extension import Privacy, least_noise
from ...dap.task import Task
from ...dap.vdafs import Vdaf, vdaf
from ...dp import PureDp
from ...errors import SecAggError
from ..console import Progress
from .local import Local, LocalError
from .usage import Usage, usage

UPLOAD_SIZE = 1000  # reports that are made and uploaded together: this process holds no more of them
COLLECTORS = 2  # processes at once
CONFIDENCE = 0.95  # of the error bars
PRECISION = 3600  # seconds to which reports round their times
MIN_BATCH_SIZE = 100
IMPOSSIBLE = 1e-12  # the probability that an entry's error exceeds what `Release.wrong` allows
COLLECTOR_POLL, QUEUE_POLL = 0.1, 1.0  # seconds between two looks at the Collectors, and at the Leader's queue
ZIPF = 5 / 3
_SHUFFLE = 1480  # puts type 8 first among 20 types and type 15 fourth

Counts = NDArray[np.int64]


def ranking(buckets: int) -> list[int]:
    """Error types, the most common first; each call gives the same."""
    return [int(kind) for kind in np.random.default_rng(_SHUFFLE).permutation(buckets)]


def browsers(reports: int, buckets: int, rng: np.random.Generator) -> Counts:
    """The error type that each browser has seen, int64[reports], with a long tail (Zipf's law)."""
    odds = np.arange(1, buckets + 1) ** -ZIPF
    return rng.choice(ranking(buckets), reports, p=odds / odds.sum())


@dataclass(frozen=True, repr=False)
class Batch:
    """Browsers, and the task that they report to.

    Attributes:
        seen: int64[n], the error type that each browser has seen.
        epsilon: of the task's noise, as typed.
        task: as the Client has it.
        file: the Collector's file of the task.
    """

    seen: Counts
    epsilon: str
    task: Task
    file: Path

    @property
    def truth(self) -> list[int]:
        """How many browsers have seen each type; in a real deployment nobody knows it."""
        return [int(n) for n in np.bincount(self.seen, minlength=self.task.vdaf.entries)]


@dataclass(frozen=True, repr=False)
class Release:
    """What the Collector got of a batch.

    Attributes:
        batch: that was collected.
        report_count: number of reports, on which both Aggregators agree.
        result: counts by type, with the Aggregators' noise.
        bar: a bound on the error with CONFIDENCE, for each type by itself.
        collector: what its process has taken.
    """

    batch: Batch
    report_count: int
    result: list[int]
    bar: float
    collector: "Usage"

    @property
    def errors(self) -> list[int]:
        """Result less truth, by type."""
        return [noisy - true for noisy, true in zip(self.result, self.batch.truth, strict=True)]

    @property
    def wrong(self) -> str | None:
        """Why this cannot be a noisy histogram of the batch, or None; it errs less than once in a billion runs."""
        task = self.batch.task
        if self.report_count != len(self.batch.seen):
            return f"{len(self.batch.seen):,} reports were accepted, but {self.report_count:,} were collected"
        assert task.privacy is not None
        bound = task.privacy.plan(task.vdaf).error(1 - IMPOSSIBLE).absolute
        worst = max(abs(error) for error in self.errors)
        return f"an error of {worst:,} is more than the noise can be, {bound:,}" if worst > bound else None


class Demo:
    """Experiments on a running deployment.

    Args:
        local: the deployment; it is entered.
        buckets: number of error types.
        progress: called with the progress of uploads and collections.
    """

    def __init__(self, local: Local, buckets: int, progress: Progress) -> None:
        self.local = local
        self._vdaf = vdaf("Histogram", length=buckets)
        self._progress = progress
        self._hours: set[int] = set()  # in which reports were made
        self._made = 0
        self._looked = 0.0  # when at the Leader's queue

    def new_batch(self, seen: Counts, epsilon: str) -> Batch:
        """A new task for these browsers, in which both Aggregators add noise.

        Args:
            seen: int64[n], the error type that each browser has seen.
            epsilon: of the noise, as typed.

        Raises:
            LocalProtocolError: there is no such noise.
        """
        task, collector_party = self.local.new_task(
            self._vdaf,
            min_batch_size=min(len(seen), MIN_BATCH_SIZE),
            privacy=privacy_for(epsilon, self._vdaf),
            time_precision=PRECISION,
            info=f"network errors, {len(seen)} reports".encode(),
        )
        self._made += 1
        file = self.local.folder / f"collector-{self._made}.json"
        task_file.write_secret(file, json.dumps(task_file.to_document(collector_party), indent=2) + "\n")
        return Batch(seen, epsilon, task, file)

    def upload(self, batches: Iterable[Batch]) -> None:
        """Let every browser make and upload its report.

        Args:
            batches: of browsers.

        Raises:
            LocalError: an Aggregator has ended, or the Leader refused reports.
            SecAggError: the Leader does not answer.
        """
        batches = list(batches)
        done, total = 0, sum(len(batch.seen) for batch in batches)
        with self._blaming(), httpx.Client(timeout=TIMEOUT, trust_env=False) as http:
            for batch in batches:
                client = Client(batch.task, http=http)
                for measurements in np.split(batch.seen, range(UPLOAD_SIZE, len(batch.seen), UPLOAD_SIZE)):
                    self._note_hour()
                    errors = client.upload(measurements).errors
                    if errors:
                        reason = next(iter(errors.values())).name.lower()
                        raise LocalError(f"the Leader refused {len(errors):,} reports: {reason}")
                    self._note_hour()
                    done += len(measurements)
                    self._progress("reports uploaded", done, total)

    def collect(self, batches: Iterable[Batch]) -> list[Release]:
        """Collect each batch, by a process of its own.

        Args:
            batches: that were uploaded.

        Returns:
            Their releases, in the same order.

        Raises:
            LocalError: a process has failed.
        """
        batches = list(batches)
        waiting, running, released = deque(enumerate(batches)), dict[int, _Collector](), dict[int, Release]()
        total, reports = len(batches), sum(len(batch.seen) for batch in batches)
        try:
            while len(released) < total:
                while waiting and len(running) < COLLECTORS:
                    number, batch = waiting.popleft()
                    running[number] = _Collector(batch, self._interval())
                for number in [number for number, collector in running.items() if collector.ended()]:
                    released[number] = running.pop(number).release()
                self._show_collecting(len(released), total, reports)
                time.sleep(COLLECTOR_POLL)
        finally:
            for collector in running.values():
                collector.stop()
        return [released[number] for number in range(total)]

    def _show_collecting(self, released: int, total: int, reports: int) -> None:
        self.local.check()
        if total > 1:
            self._progress("batches collected", released, total)
        elif time.monotonic() - self._looked > QUEUE_POLL:
            self._progress("reports aggregated", reports - self.local.waiting(), reports)
            self._looked = time.monotonic()

    def _note_hour(self) -> None:
        self._hours.add(int(time.time()) // PRECISION)

    def _interval(self) -> str:
        """The interval that holds all reports, as `secagg dap collect` takes it."""
        first, last = min(self._hours), max(self._hours)
        return f"{first * PRECISION}/{(last + 1 - first) * PRECISION}s"

    @contextmanager
    def _blaming(self) -> Iterator[None]:
        """If the block fails because a process has ended, raise LocalError, which says so."""
        try:
            yield
        except SecAggError:
            self.local.check()
            raise


class _Collector:
    """A process that collects a batch, by `secagg dap collect`."""

    def __init__(self, batch: Batch, interval: str) -> None:
        self._batch = batch
        self._out, self._log = (batch.file.with_suffix(suffix) for suffix in (".result", ".log"))
        command = [sys.executable, "-m", "secagg", "dap", "collect", "--json", "--task", str(batch.file)]
        with self._out.open("w") as out, self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, "--interval", interval, "--early", "--confidence", str(CONFIDENCE)],
                stdout=out,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
            )
        self._usage = Usage(self._process.pid, 0.0, 0.0, 0)

    def ended(self) -> bool:
        if self._process.poll() is not None:
            return True
        self._usage = usage(self._process.pid) or self._usage
        return False

    def release(self) -> Release:
        if self._process.returncode:
            raise LocalError(f"the Collector failed: {self._log.read_text(errors='replace').removeprefix('error: ')}")
        collected: dict[str, Any] = json.loads(self._out.read_text())
        return Release(
            self._batch, collected["report_count"], collected["result"], collected["error_bars"][0], self._usage
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def privacy_for(epsilon: str, vdaf: Vdaf) -> Privacy:
    """The noise for one collection at this epsilon, with one of the two Aggregators honest."""
    budget = PureDp(epsilon)
    return Privacy(least_noise(budget, vdaf), budget, budget)
