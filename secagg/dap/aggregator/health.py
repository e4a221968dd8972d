"""How an Aggregator is, in detail, for its operator: `/healthz/detail`."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from ..messages import Role
from ..store.engine import Store, StoreUnavailable, Tx
from ..store.reports import count_open_reports, find_oldest_open_bucket
from ..store.task_watch import find_check
from ..store.tasks import KnownTasks, TaskRecord
from ..store.waiting import find_oldest_job
from ..task import time_text
from .helper_check import HelperState
from .release import collections_left

KEPT = 5.0  # seconds for which an answer is given again: it takes counting

log = logging.getLogger(__name__)


class Health:
    """Says how an Aggregator is; several threads may ask.

    Args:
        store: of this Aggregator.
        role: LEADER or HELPER.
        clock: POSIX seconds.
    """

    def __init__(self, store: Store, role: Role, clock: Callable[[], float]) -> None:
        self._store = store
        self._role = role
        self._clock = clock
        self._tasks = KnownTasks()
        self._turn = threading.Lock()
        self._latest: tuple[float, dict[str, Any]] | None = None

    def describe(self) -> dict[str, Any]:
        """As JSON has it: `status` is ok, attention or failing; times are ISO 8601, ages in seconds."""
        latest = self._latest
        if not self._turn.acquire(blocking=latest is None):  # while one looks, others take what was seen last
            assert latest is not None
            return latest[1]
        try:
            if self._latest is None or time.monotonic() - self._latest[0] >= KEPT:
                seen = self._look()
                self._latest = time.monotonic(), seen
            return self._latest[1]
        finally:
            self._turn.release()

    def _look(self) -> dict[str, Any]:
        role, now = self._role.name.lower(), self._clock()
        try:
            with self._store.read() as tx:
                tasks = [self._task(tx, record, now) for record in self._tasks.list_all(tx)]
                oldest = find_oldest_job(tx, self._role)
        except StoreUnavailable as error:
            log.warning("the health is not known: %s", error)
            return {"status": "failing", "role": role, "database": "does not answer"}
        fails = any("helper" in task and task["helper"]["fails"] for task in tasks)
        return {
            "status": "attention" if fails else "ok",
            "role": role,
            "database": "ok",
            "oldest_waiting_job_seconds": None if oldest is None else max(0.0, now - oldest),
            "tasks": tasks,
        }

    def _task(self, tx: Tx, record: TaskRecord, now: float) -> dict[str, Any]:
        task = record.task
        found: dict[str, Any] = {"task_id": task.text, "collections_left": collections_left(tx, record)}
        if self._role is Role.HELPER:
            return found
        bucket = find_oldest_open_bucket(tx, record)
        oldest = None if bucket is None else max(0.0, now - bucket * task.time_precision)
        waiting = {"waiting_reports": count_open_reports(tx, record), "oldest_report_seconds": oldest}
        return {**found, **waiting, "helper": helper_state(tx, record)}


def helper_state(tx: Tx, record: TaskRecord) -> dict[str, Any]:
    """What a task's Helper said when the Leader asked it last whether it has the task.

    Args:
        tx: a transaction on the Leader's store.
        record: the task.
    """
    check = find_check(tx, record)
    url = record.task.helper_url
    if check is None or check.helper is None or check.checked is None:
        advice = "was not asked yet whether it has the task: that takes a server with [workers] threads, or a worker"
        return {"url": url, "state": None, "fails": False, "advice": advice, "reason": None, "checked": None}
    state = HelperState(check.helper)
    return {
        "url": url,
        "state": state.value,
        "fails": state.fails,
        "advice": state.advice,
        "reason": check.reason or None,
        "checked": time_text(check.checked),
    }
