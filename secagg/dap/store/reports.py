"""The Leader's reports, from their upload until their aggregation job ends.

The row of an aggregated report stays, so that its ID is never accepted again; only its body is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, select, true

from ..messages import Interval
from .buckets import list_closed_buckets
from .engine import Tx
from .schema import batches, collected, jobs, reports
from .tasks import TaskRecord, lock_task

_IDS = 1000  # in one statement: databases bound its parameters


@dataclass(frozen=True, repr=False)
class Upload:
    """A report as it is stored.

    Attributes:
        id: its report ID.
        bucket: its time, in time_precision.
        body: the encoded Report.
    """

    id: bytes
    bucket: int
    body: bytes


def add_reports(tx: Tx, record: TaskRecord, uploads: Sequence[Upload]) -> list[Interval | None]:
    """Store the reports whose batch is not collected, and not being collected (section 4.4.2.2). A known ID changes
    nothing: uploads are idempotent, also while the batch waits for its last reports.

    Args:
        tx: a transaction that writes.
        record: the task.
        uploads: the reports.

    Returns:
        Of each report, the batch that refuses it; None if it is stored.
    """
    lock_task(tx, record.key, alone=False)
    closed = list_closed_buckets(tx, record, {upload.bucket for upload in uploads}) if record.task.by_time else {}
    rows = [
        {"task": record.key, "id": upload.id, "bucket": upload.bucket, "body": upload.body}
        for upload in uploads
        if upload.bucket not in closed
    ]
    if rows:
        tx.insert_new(reports, rows, reports.c.id)
    waiting = _list_open(tx, record, [upload.id for upload in uploads if upload.bucket in closed])
    return [None if upload.id in waiting else closed.get(upload.bucket) for upload in uploads]


def _list_open(tx: Tx, record: TaskRecord, ids: Sequence[bytes]) -> set[bytes]:
    """Those of these report IDs that are stored and not aggregated yet."""
    found = set[bytes]()
    for i in range(0, len(ids), _IDS):
        chosen = (reports.c.task == record.key) & reports.c.id.in_(ids[i : i + _IDS]) & reports.c.body.is_not(None)
        found.update(tx.execute(select(reports.c.id).where(chosen)).scalars())
    return found


def count_open_reports_in_batch(tx: Tx, record: TaskRecord, batch: "Interval | bytes") -> int:
    """How many reports of a batch are not aggregated yet: they wait for a job or are in one.

    Args:
        tx: a transaction.
        record: the task.
        batch: its interval or its ID.
    """
    if isinstance(batch, bytes):
        own = (jobs.c.task == record.key) & (jobs.c.batch == batch)
        counted = select(func.count()).select_from(reports.join(jobs, reports.c.job == jobs.c.key)).where(own)
    else:
        among = reports.c.bucket.between(batch.start, batch.end - 1)
        open_ones = (reports.c.task == record.key) & reports.c.body.is_not(None) & among
        counted = select(func.count()).select_from(reports).where(open_ones)
    return int(tx.execute(counted).scalar_one())


def count_open_reports(tx: Tx, record: TaskRecord | None = None) -> int:
    """How many reports are not aggregated yet: they wait for a job or are in one.

    Args:
        tx: a transaction.
        record: the task; None for all tasks.
    """
    own = true() if record is None else reports.c.task == record.key
    open_ones = own & reports.c.body.is_not(None)
    return int(tx.execute(select(func.count()).select_from(reports).where(open_ones)).scalar_one())


def list_ready_batches(tx: Tx, record: TaskRecord, older: float) -> list[bytes]:
    """Batches that the Leader has selected and not collected, the oldest first.

    Full batches are ready, and so are smaller ones that are large enough and old enough.

    Args:
        tx: a transaction.
        record: the task.
        older: a batch made before this time may be smaller, in POSIX seconds.
    """
    enough = batches.c.reports >= record.task.min_batch_size
    chosen = select(batches.c.batch).where(
        batches.c.task == record.key,
        (batches.c.reports >= batch_target(record)) | (enough & (batches.c.created <= older)),
        ~exists().where(collected.c.task == record.key, collected.c.batch == batches.c.batch),
    )
    return list(tx.execute(chosen.order_by(batches.c.created)).scalars())


def batch_target(record: TaskRecord) -> int:
    """How many reports the Leader puts into a batch: as many as it was told, if such a batch has a result.

    Args:
        record: the task.
    """
    return max(min(record.secrets.batch_size, record.task.max_batch_size), record.task.min_batch_size)


def find_oldest_open_bucket(tx: Tx, record: TaskRecord) -> int | None:
    """The time, in time_precision, of a task's oldest report that is not aggregated; None if there is none.

    Args:
        tx: a transaction.
        record: the task.
    """
    open_ones = (reports.c.task == record.key) & reports.c.body.is_not(None)
    return tx.execute(select(func.min(reports.c.bucket)).where(open_ones)).scalar_one()  # type: ignore[no-any-return]
