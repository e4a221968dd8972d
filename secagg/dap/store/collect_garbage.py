"""Rows that no check needs any more.

A report ID is remembered until its batch is collected: from then on the batch's mark refuses it. In leader-selected
mode nothing but the ID does, so there it stays.
"""

from sqlalchemy import delete, exists

from .engine import Store
from .schema import aggregated, collected, helper_jobs, hpke_keys, reports

ANSWERS_KEPT = 7 * 86400.0  # seconds: the Leader asks again for much less
KEYS_KEPT = 30 * 86400.0  # seconds after a key's end: reports that it was used for are aggregated by then


def collect_garbage(store: Store, now: float) -> None:
    """Delete them, a table a transaction."""
    for table in (reports, aggregated):
        within = (collected.c.start <= table.c.bucket) & (collected.c.end > table.c.bucket)
        late = exists().where(collected.c.task == table.c.task, within)
        with store.write() as tx:
            tx.execute(delete(table).where(late))
    with store.write() as tx:
        answered = helper_jobs.c.due.is_(None)
        tx.execute(delete(helper_jobs).where(answered, helper_jobs.c.created < now - ANSWERS_KEPT))
    with store.write() as tx:
        tx.execute(delete(hpke_keys).where(hpke_keys.c.accepted_until < now - KEYS_KEPT))
