"""Aggregation jobs of the Helper. The same request finds the same job: a job's ID follows from its request, or else the
Leader chooses it, and the request's digest is kept."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update

from .engine import Tx
from .schema import helper_jobs
from .tasks import TaskRecord


@dataclass(frozen=True, repr=False)
class HelperJob:
    """An aggregation job of the Helper.

    Attributes:
        task: the store's number of its task.
        id: as in its URL.
        request: the encoded AggregationJobInitReq, until it is answered.
        response: the encoded AggregationJobResp; None before it is answered and once it is deleted.
        digest: SHA-256 of the request, where the Leader has chosen the ID; else None.
    """

    task: int
    id: bytes
    request: bytes | None
    response: bytes | None
    digest: bytes | None

    @property
    def ended(self) -> bool:
        """Whether the job is answered."""
        return self.request is None

    @property
    def deleted(self) -> bool:
        """Whether the answer is deleted."""
        return self.ended and self.response is None


_FIELDS = tuple(HelperJob.__dataclass_fields__)


def _job(row: "object") -> HelperJob:
    return HelperJob(*(getattr(row, name) for name in _FIELDS))


def _this(task: int, job_id: bytes) -> ColumnElement[bool]:
    return (helper_jobs.c.task == task) & (helper_jobs.c.id == job_id)


def add_job(
    tx: Tx, record: TaskRecord, job_id: bytes, request: bytes, now: float, due: float, *, digest: bytes | None = None
) -> HelperJob:
    """The job with this ID: the one that there is, or a new one that nobody else works on before it is due.

    A deleted job begins anew: what it has committed refuses the same reports.

    Args:
        tx: a transaction that writes.
        record: the task.
        job_id: follows from the request, or is the Leader's choice.
        request: the encoded AggregationJobInitReq.
        now: POSIX seconds.
        due: when somebody else may work on a new job, in POSIX seconds.
        digest: SHA-256 of the request, where the Leader has chosen the ID. The job that there is may have another.
    """
    row = {"task": record.key, "id": job_id, "request": request, "due": due, "created": now, "digest": digest}
    tx.insert_new(helper_jobs, [row], helper_jobs.c.id)
    job = lock_job(tx, record, job_id)
    if job.deleted:
        tx.execute(update(helper_jobs).where(_this(record.key, job_id)).values(**row))
        return lock_job(tx, record, job_id)
    return job


def find_job(tx: Tx, record: TaskRecord, job_id: bytes) -> HelperJob | None:
    """The job with this ID; None if there is none.

    Args:
        tx: a transaction.
        record: the task.
        job_id: as in its URL.
    """
    row = tx.execute(select(helper_jobs).where(_this(record.key, job_id))).one_or_none()
    return None if row is None else _job(row)


def lock_job(tx: Tx, record: TaskRecord, job_id: bytes) -> HelperJob:
    """The job as it is now, locked until the transaction ends.

    Args:
        tx: a transaction that writes.
        record: the task.
        job_id: of a job that is there.
    """
    return _job(tx.execute(select(helper_jobs).where(_this(record.key, job_id)).with_for_update()).one())


def lease_job(tx: Tx, now: float, seconds: float) -> HelperJob | None:
    """Lease the job that has been due for longest; None if none is due.

    Args:
        tx: a transaction that writes.
        now: POSIX seconds.
        seconds: until somebody else may work on it.
    """
    due = select(helper_jobs).where(helper_jobs.c.due <= now).order_by(helper_jobs.c.due).limit(1)
    row = tx.execute(due.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    tx.execute(update(helper_jobs).where(_this(row.task, row.id)).values(due=now + seconds))
    return _job(row)


def end_job(tx: Tx, job: HelperJob, *, response: bytes | None = None) -> None:
    """End a job: its request goes, and its answer is stored.

    Args:
        tx: a transaction that writes.
        job: the job.
        response: the encoded AggregationJobResp; None deletes the answer, while the marks of what was committed stay.
    """
    ended = {"request": None, "response": response, "due": None}
    tx.execute(update(helper_jobs).where(_this(job.task, job.id)).values(**ended))
