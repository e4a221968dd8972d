"""Collection jobs of the Leader, aggregate shares of the Helper, and the ledger of both."""

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update

from ..messages import Interval
from .engine import Tx
from .schema import aggregate_shares, collection_jobs, ledger
from .tasks import TaskRecord


@dataclass(frozen=True, repr=False)
class CollectionJob:
    """A collection job.

    Attributes:
        task: the store's number of its task.
        id: as in its URL.
        request: the encoded CollectionJobReq.
        share_request: the encoded AggregateShareReq, once the batch is collected here.
        response: the encoded CollectionJobResp; without the Helper's share until the job is finished.
        finished: whether the job has its result.
        problem: why it has failed, as a problem document.
        waiting: what it waits for, in words; None if that is not known.
        attempts: how often it was leased before; once the Helper's share is asked for, how often since then.
        due: when somebody may work on it again; None once it has ended.
        batch: the ID of the batch whose last reports it waits for, in leader-selected mode; once the batch is collected
            here, its encoded Interval or its ID.
        open_reports: how many of its batch were not aggregated when that number was seen to change last; None if it
            waits for none.
        asked: since when the Helper's share is awaited, or before that for any of these reports, in POSIX seconds;
            None before.
        share_location: where the Helper keeps its share, once the Helper has said so.
    """

    task: int
    id: bytes
    request: bytes
    share_request: bytes | None
    response: bytes | None
    finished: bool
    problem: str | None
    waiting: str | None
    attempts: int
    due: float | None
    batch: bytes | None
    open_reports: int | None
    asked: float | None
    share_location: str | None


_FIELDS = tuple(CollectionJob.__dataclass_fields__)


def _job(row: "object") -> CollectionJob:
    return CollectionJob(*(getattr(row, name) for name in _FIELDS))


def add_collection_job(
    tx: Tx, record: TaskRecord, job_id: bytes, digest: bytes, request: bytes, now: float
) -> CollectionJob:
    """The job of a request: the one that there is, or a new one with this ID.

    Args:
        tx: a transaction that writes.
        record: the task.
        job_id: of a new job.
        digest: SHA-256 of the request.
        request: the encoded CollectionJobReq.
        now: POSIX seconds.
    """
    row = {"task": record.key, "id": job_id, "digest": digest, "request": request, "due": now, "created": now}
    tx.insert_new(collection_jobs, [row], collection_jobs.c.id)
    job = find_collection_job_by_request(tx, record, digest)
    assert job is not None
    return job


def find_collection_job(tx: Tx, record: TaskRecord, job_id: bytes) -> CollectionJob | None:
    """The job with this ID; None if there is none or it was deleted.

    Args:
        tx: a transaction.
        record: the task.
        job_id: as in the job's URL.
    """
    this = (collection_jobs.c.task == record.key) & (collection_jobs.c.id == job_id)
    row = tx.execute(select(collection_jobs).where(this)).one_or_none()
    return None if row is None else _job(row)


def find_collection_job_by_request(tx: Tx, record: TaskRecord, digest: bytes) -> CollectionJob | None:
    """The job of a request; None if there is none.

    Args:
        tx: a transaction.
        record: the task.
        digest: SHA-256 of the request.
    """
    this = (collection_jobs.c.task == record.key) & (collection_jobs.c.digest == digest)
    row = tx.execute(select(collection_jobs).where(this)).one_or_none()
    return None if row is None else _job(row)


def find_collected_job(tx: Tx, record: TaskRecord, batch: bytes) -> CollectionJob | None:
    """A job that has collected this batch here, with its result if any has one; None if there is none.

    Args:
        tx: a transaction.
        record: the task.
        batch: the encoded Interval or the batch ID.
    """
    own = (collection_jobs.c.task == record.key) & (collection_jobs.c.batch == batch)
    held = select(collection_jobs).where(own, collection_jobs.c.share_request.is_not(None))
    row = tx.execute(held.order_by(collection_jobs.c.finished.desc()).limit(1)).one_or_none()
    return None if row is None else _job(row)


def copy_collection(tx: Tx, job: CollectionJob, other: CollectionJob, *, waiting: str, asked: float) -> None:
    """Give a job what another one has of the same batch: its result, or else what the Helper is asked.

    Args:
        tx: a transaction that writes.
        job: which has collected nothing.
        other: which has collected the batch here.
        waiting: what it waits for without a result, in words.
        asked: POSIX seconds.
    """
    own = {"share_request": other.share_request, "response": other.response, "batch": other.batch, "attempts": 1}
    done = {"finished": True, "due": None} if other.finished else {"waiting": waiting, "asked": asked}
    update_collection_job(tx, job, **own, **done)


def count_extra_collection_jobs(tx: Tx, record: TaskRecord) -> int:
    """How many of the task's collection jobs have no result, or one that another job has: without them, there are no
    more than batches.

    Args:
        tx: a transaction.
        record: the task.
    """
    finished, batch = collection_jobs.c.finished, collection_jobs.c.batch  # no batch: finished by an older version
    counted = func.count().filter(~finished | batch.is_not(None)), func.count(batch.distinct()).filter(finished)
    jobs, batches = tx.execute(select(*counted).where(collection_jobs.c.task == record.key)).one()
    return int(jobs) - int(batches)


def lease_collection_job(tx: Tx, now: float, seconds: float) -> CollectionJob | None:
    """Lease the job that has been due for longest; None if none is due.

    Args:
        tx: a transaction that writes.
        now: POSIX seconds.
        seconds: until somebody else may work on it.
    """
    due = select(collection_jobs).where(collection_jobs.c.due <= now).order_by(collection_jobs.c.due).limit(1)
    row = tx.execute(due.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    update_collection_job(tx, _job(row), due=now + seconds, attempts=row.attempts + 1)
    return _job(row)


def lock_collection_job(tx: Tx, job: CollectionJob) -> CollectionJob | None:
    """The job as it is now, locked until the transaction ends; None if it has ended or was deleted.

    Args:
        tx: a transaction that writes.
        job: as it was.
    """
    this = (collection_jobs.c.task == job.task) & (collection_jobs.c.id == job.id)
    row = tx.execute(select(collection_jobs).where(this).with_for_update()).one_or_none()
    return None if row is None or row.due is None else _job(row)


def close_interval(tx: Tx, job: CollectionJob, interval: Interval) -> None:
    """Let a job's interval take no more reports, until the job has failed or is deleted. The caller holds `lock_task`
    alone.

    Args:
        tx: a transaction that writes.
        job: the job.
        interval: of its query.
    """
    update_collection_job(tx, job, start=interval.start, end=interval.end)


def fail_collection_job(tx: Tx, job: CollectionJob, problem: str) -> None:
    """End a job without a result. Its interval takes reports again, unless it is collected.

    Args:
        tx: a transaction that writes.
        job: the job.
        problem: as a problem document.
    """
    ended = dict.fromkeys(("due", "start", "end", "open_reports", "share_location"))
    update_collection_job(tx, job, problem=problem, **ended)


def update_collection_job(tx: Tx, job: CollectionJob, **values: "object") -> None:
    """Change columns of a job.

    Args:
        tx: a transaction that writes.
        job: the job.
        values: new values by column.
    """
    this = (collection_jobs.c.task == job.task) & (collection_jobs.c.id == job.id)
    tx.execute(update(collection_jobs).where(this).values(**values))


def delete_collection_job(tx: Tx, job: CollectionJob) -> None:
    """Delete a job. A batch that it has collected stays collected, and its budget stays spent; an interval that it has
    closed before takes reports again.

    Args:
        tx: a transaction that writes.
        job: the job.
    """
    this = (collection_jobs.c.task == job.task) & (collection_jobs.c.id == job.id)
    tx.execute(delete(collection_jobs).where(this))


@dataclass(frozen=True, repr=False)
class HelperShare:
    """An aggregate share that the Helper has released.

    Attributes:
        batch: the encoded Interval or the batch ID.
        response: the encoded AggregateShare; None once it is deleted.
    """

    batch: bytes
    response: bytes | None


def find_aggregate_share(tx: Tx, record: TaskRecord, share_id: bytes) -> HelperShare | None:
    """The aggregate share with this ID; None if there is none.

    Args:
        tx: a transaction.
        record: the task.
        share_id: as in its URL.
    """
    this = (aggregate_shares.c.task == record.key) & (aggregate_shares.c.id == share_id)
    row = tx.execute(select(aggregate_shares.c.batch, aggregate_shares.c.response).where(this)).one_or_none()
    return None if row is None else HelperShare(row.batch, row.response)


def add_aggregate_share(tx: Tx, record: TaskRecord, share_id: bytes, share: HelperShare, now: float) -> None:
    """Store an aggregate share that is released.

    Args:
        tx: a transaction that writes.
        record: the task.
        share_id: as in its URL.
        share: the batch and the answer.
        now: POSIX seconds.
    """
    row = {"batch": share.batch, "response": share.response, "created": now}
    tx.execute(insert(aggregate_shares).values(task=record.key, id=share_id, **row))


def delete_aggregate_share(tx: Tx, record: TaskRecord, share_id: bytes) -> None:
    """Delete an answer. Its batch stays collected, and its budget stays spent.

    Args:
        tx: a transaction that writes.
        record: the task.
        share_id: as in its URL.
    """
    this = (aggregate_shares.c.task == record.key) & (aggregate_shares.c.id == share_id)
    tx.execute(update(aggregate_shares).where(this).values(response=None))


def count_releases(tx: Tx, record: TaskRecord) -> int:
    """How many batches of the task were released with noise.

    Args:
        tx: a transaction.
        record: the task.
    """
    counted = select(func.count()).select_from(ledger).where(ledger.c.task == record.key)
    return int(tx.execute(counted).scalar_one())


def add_release(tx: Tx, record: TaskRecord, batch: bytes, now: float) -> None:
    """Enter a release with noise into the ledger.

    Args:
        tx: a transaction that writes.
        record: the task.
        batch: the encoded interval or the ID.
        now: POSIX seconds.
    """
    tx.execute(insert(ledger).values(task=record.key, batch=batch, spent=now))
