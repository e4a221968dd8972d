"""Rows that no check needs any more.

A report ID is remembered until its batch is collected; from then on the batch's mark refuses the report. In
leader-selected mode only the ID refuses it, so there the ID stays. A deleted task accepts nothing any more, and needs
only its marks and its ledger.
"""

from sqlalchemy import ColumnElement, Table, delete, exists, func, select

from .engine import Store, Tx
from .outcomes import delete_outcomes
from .schema import (
    aggregate_shares,
    aggregated,
    batches,
    buckets,
    collected,
    collection_jobs,
    helper_jobs,
    hpke_keys,
    jobs,
    outcomes,
    reports,
    task_watch,
    tasks,
)

ANSWERS_KEPT = 30 * 86400.0  # seconds: the Leader stops asking again long before
KEYS_KEPT = 30 * 86400.0  # seconds after a key's end: reports that it was used for are aggregated by then
_ROWS = 20_000  # in one transaction, so that uploads do not wait for long
_OF_A_TASK = (
    jobs,
    batches,
    helper_jobs,
    buckets,
    collection_jobs,
    aggregate_shares,
    outcomes,
    task_watch,
)  # a few rows; see reports, too


class GarbageCollector:
    """Deletes rows that no check needs any more, in small transactions.

    Args:
        store: of one Aggregator.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._swept: dict[int, int] = {}  # batches that a task had collected when we looked last; -1 once it is deleted

    def run(self, now: float | None) -> None:
        """Delete what is not needed any more.

        Args:
            now: POSIX seconds; None if the clock cannot be trusted: then no row is deleted for its age.
        """
        # Tasks that have collected more batches since the last run, or were deleted.
        with self._store.read() as tx:
            changed = {task: count for task, count in _states(tx).items() if self._swept.get(task, 0) != count}

        # Reports of collected batches and of deleted tasks; then what was remembered of them, task by task.
        if changed:
            self._delete_reports()
        for task, count in changed.items():
            self._delete_aggregated(task)
            if count < 0:
                self._delete_rest(task)

        self._swept |= changed

        # Answers, keys and counts go by their age.
        if now is not None:
            self._delete_old(now)

    def _delete_old(self, now: float) -> None:
        with self._store.write() as tx:
            answered = helper_jobs.c.due.is_(None)
            tx.execute(delete(helper_jobs).where(answered, helper_jobs.c.created < now - ANSWERS_KEPT))
        with self._store.write() as tx:
            tx.execute(delete(hpke_keys).where(hpke_keys.c.accepted_until < now - KEYS_KEPT))
        with self._store.write() as tx:
            delete_outcomes(tx, now)

    def _delete_reports(self) -> None:
        with self._store.read() as tx:
            first, last = tx.execute(select(func.min(reports.c.key), func.max(reports.c.key))).one()

        # A window of rows in each transaction, so that uploads do not wait for long.
        for start in range(first or 1, (last or 0) + 1, _ROWS):
            with self._store.write() as tx:
                window = reports.c.key.between(start, start + _ROWS - 1)
                tx.execute(delete(reports).where(window, _unneeded(reports)))

    def _delete_aggregated(self, task: int) -> None:
        """Delete in windows by the first byte of the IDs, which are random and come first in the key's order."""
        for first in range(256):
            low, high = bytes([first]), bytes([first]) + b"\xff" * 16
            with self._store.write() as tx:
                window = aggregated.c.report.between(low, high)
                tx.execute(delete(aggregated).where(aggregated.c.task == task, window, _unneeded(aggregated)))

    def _delete_rest(self, task: int) -> None:
        for table in _OF_A_TASK:
            with self._store.write() as tx:
                tx.execute(delete(table).where(table.c.task == task))


def _states(tx: Tx) -> dict[int, int]:
    """For each task that may have rows to delete, how many batches by time it has collected; -1 if it is deleted."""
    counted = select(collected.c.task, func.count()).where(collected.c.start.is_not(None)).group_by(collected.c.task)
    states: dict[int, int] = dict(tx.execute(counted).all())
    return states | dict.fromkeys(tx.execute(select(tasks.c.key).where(tasks.c.deleted)).scalars(), -1)


def _unneeded(table: Table) -> ColumnElement[bool]:
    """The condition that a row of `reports` or `aggregated` is not needed: its batch is collected, or its task is
    deleted."""
    within = (collected.c.start <= table.c.bucket) & (collected.c.end > table.c.bucket)
    late = exists().where(collected.c.task == table.c.task, within)
    return late | exists().where(tasks.c.key == table.c.task, tasks.c.deleted)
