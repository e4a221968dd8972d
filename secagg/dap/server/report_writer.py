"""Many uploads, one transaction: reports that arrive while the disk is busy are written together."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool

from ..aggregator.leader import Leader
from ..messages import Interval, Report
from ..store.tasks import TaskRecord
from .limits import UploadQueueFull

_Waiting = tuple[TaskRecord, Sequence[Report], "asyncio.Future[list[Interval | None]]"]


class UploadWriter:
    """Stores reports for requests that wait until they are on disk.

    Args:
        leader: stores them.
        max_waiting: how many reports may wait.
    """

    def __init__(self, leader: Leader, max_waiting: int) -> None:
        self._leader = leader
        self._max_waiting = max_waiting
        self._count = 0
        self._waiting: list[_Waiting] = []
        self._something = asyncio.Event()
        self._stopping = False

    async def write(self, record: TaskRecord, reports: Sequence[Report]) -> list[Interval | None]:
        """Store reports; once this returns, they are on disk.

        Args:
            record: the task.
            reports: those that were checked.

        Returns:
            Of each report, the batch that refuses it because it is collected or was; None if it is stored.

        Raises:
            UploadQueueFull: too many reports wait already; nothing was stored.
            StoreUnavailable: nothing was stored.
        """
        if not reports:
            return []
        if self._stopping or (self._count and self._count + len(reports) > self._max_waiting):
            raise UploadQueueFull(f"{self._count:,} reports wait for the disk")
        done: asyncio.Future[list[Interval | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, reports, done))
        self._count += len(reports)
        self._something.set()
        try:
            return await done
        finally:
            self._count -= len(reports)

    async def run(self) -> None:
        """Write what waits, over and over, until `stop` is called."""
        while not (self._stopping and not self._waiting):
            await self._something.wait()
            self._something.clear()
            taken, self._waiting = self._waiting, []
            by_task: dict[int, list[_Waiting]] = defaultdict(list)
            for waiting in taken:
                by_task[waiting[0].key].append(waiting)
            for members in by_task.values():
                await self._write(members)

    async def stop(self) -> None:
        """Accept nothing more; `run` ends once all that waits is written."""
        self._stopping = True
        self._something.set()

    async def _write(self, members: list[_Waiting]) -> None:
        reports = [report for _, some, _ in members for report in some]
        try:
            stored = await run_in_threadpool(self._leader.add_reports, members[0][0], reports)
        except Exception as error:
            for _, _, done in members:
                if not done.done():
                    done.set_exception(error)
            return
        start = 0
        for _, some, done in members:
            if not done.done():
                done.set_result(stored[start : start + len(some)])
            start += len(some)
