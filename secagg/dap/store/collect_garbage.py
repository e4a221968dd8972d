"""Rows that no check needs any more.

A report ID is remembered until its batch is collected: from then on the batch's mark refuses it. In leader-selected
mode nothing but the ID does, so there it stays.
"""

from sqlalchemy import delete, exists, func, select

from .engine import Store
from .schema import aggregated, collected, helper_jobs, hpke_keys, reports

ANSWERS_KEPT = 7 * 86400.0  # seconds: the Leader asks again for much less
KEYS_KEPT = 30 * 86400.0  # seconds after a key's end: reports that it was used for are aggregated by then
_ROWS = 20_000  # looked at in one transaction, so that uploads need not wait for long


class GarbageCollector:
    """Deletes them, in small transactions.

    Args:
        store: of one Aggregator.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._collected = 0  # batches when we looked last

    def run(self, now: float) -> None:
        """Delete what is not needed at this POSIX time."""
        with self._store.read() as tx:
            count = tx.execute(select(func.count()).select_from(collected)).scalar_one()
        if count != self._collected:
            self._delete_reports()
            self._delete_aggregated()
            self._collected = count
        with self._store.write() as tx:
            answered = helper_jobs.c.due.is_(None)
            tx.execute(delete(helper_jobs).where(answered, helper_jobs.c.created < now - ANSWERS_KEPT))
        with self._store.write() as tx:
            tx.execute(delete(hpke_keys).where(hpke_keys.c.accepted_until < now - KEYS_KEPT))

    def _delete_reports(self) -> None:
        with self._store.read() as tx:
            last = tx.execute(select(func.max(reports.c.key))).scalar() or 0
        within = (collected.c.start <= reports.c.bucket) & (collected.c.end > reports.c.bucket)
        late = exists().where(collected.c.task == reports.c.task, within)
        for start in range(0, last, _ROWS):
            with self._store.write() as tx:
                tx.execute(delete(reports).where(reports.c.key.between(start + 1, start + _ROWS), late))

    def _delete_aggregated(self) -> None:
        """By the first byte of the random IDs, which stand in the key's order."""
        with self._store.read() as tx:
            tasks = tx.execute(select(collected.c.task).distinct()).scalars().all()
        within = (collected.c.start <= aggregated.c.bucket) & (collected.c.end > aggregated.c.bucket)
        late = exists().where(collected.c.task == aggregated.c.task, within)
        for task in tasks:
            for first in range(256):
                low, high = bytes([first]), bytes([first]) + b"\xff" * 16
                with self._store.write() as tx:
                    window = aggregated.c.report.between(low, high)
                    tx.execute(delete(aggregated).where(aggregated.c.task == task, window, late))
