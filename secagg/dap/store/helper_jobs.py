"""Aggregation jobs of the Helper. A job's ID follows from its request, so that the same request finds the same job."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update

from .engine import Tx
from .schema import helper_jobs
from .tasks import TaskRecord


@dataclass(frozen=True, repr=False)
class HelperJob:
    """An aggregation job.

    Attributes:
        task: the store's number of its task.
        id: as in its URL.
        request: the encoded AggregationJobInitReq, until it is answered.
        response: the encoded AggregationJobResp; None also once it is deleted.
    """

    task: int
    id: bytes
    request: bytes | None
    response: bytes | None

    @property
    def ended(self) -> bool:
        return self.request is None

    @property
    def deleted(self) -> bool:
        return self.ended and self.response is None


_FIELDS = tuple(HelperJob.__dataclass_fields__)


def _job(row: "object") -> HelperJob:
    return HelperJob(*(getattr(row, name) for name in _FIELDS))


def _this(task: int, job_id: bytes) -> ColumnElement[bool]:
    return (helper_jobs.c.task == task) & (helper_jobs.c.id == job_id)


def add_job(tx: Tx, record: TaskRecord, job_id: bytes, request: bytes, now: float, due: float) -> HelperJob:
    """The job of this ID: the one that there is, or a new one that nobody but us works on before it is due.

    One that was deleted begins anew: what it has committed refuses the same reports.
    """
    row = {"task": record.key, "id": job_id, "request": request, "due": due, "created": now}
    tx.insert_new(helper_jobs, [row], helper_jobs.c.id)
    job = lock_job(tx, record, job_id)
    if job.deleted:
        tx.execute(update(helper_jobs).where(_this(record.key, job_id)).values(**row))
        return lock_job(tx, record, job_id)
    return job


def find_job(tx: Tx, record: TaskRecord, job_id: bytes) -> HelperJob | None:
    row = tx.execute(select(helper_jobs).where(_this(record.key, job_id))).one_or_none()
    return None if row is None else _job(row)


def lock_job(tx: Tx, record: TaskRecord, job_id: bytes) -> HelperJob:
    """The job as it is now, ours until the transaction ends."""
    return _job(tx.execute(select(helper_jobs).where(_this(record.key, job_id)).with_for_update()).one())


def lease_job(tx: Tx, now: float, seconds: float) -> HelperJob | None:
    """The job that is due for longest, ours for so many seconds."""
    due = select(helper_jobs).where(helper_jobs.c.due <= now).order_by(helper_jobs.c.due).limit(1)
    row = tx.execute(due.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    tx.execute(update(helper_jobs).where(_this(row.task, row.id)).values(due=now + seconds))
    return _job(row)


def end_job(tx: Tx, job: HelperJob, *, response: bytes | None = None) -> None:
    """Keep the answer; without one, a deleted job's marks stay and its answer goes."""
    ended = {"request": None, "response": response, "due": None}
    tx.execute(update(helper_jobs).where(_this(job.task, job.id)).values(**ended))
