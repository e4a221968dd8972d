"""Aggregation jobs of the Helper. A job's ID follows from its request, so that the same request finds the same job."""

from dataclasses import dataclass

from sqlalchemy import select, update

from .engine import Tx
from .schema import helper_jobs
from .tasks import AggregatorTask


@dataclass(frozen=True, repr=False)
class HelperJob:
    """An aggregation job.

    Attributes:
        task: the store's number of its task.
        id: as in its URL.
        request: the encoded AggregationJobInitReq, until it is answered.
        response: the encoded AggregationJobResp.
        problem: why it has failed, as a problem document.
    """

    task: int
    id: bytes
    request: bytes | None
    response: bytes | None
    problem: str | None

    @property
    def ended(self) -> bool:
        return self.request is None


_FIELDS = tuple(HelperJob.__dataclass_fields__)


def _job(row: "object") -> HelperJob:
    return HelperJob(*(getattr(row, name) for name in _FIELDS))


def add_job(tx: Tx, mine: AggregatorTask, job_id: bytes, request: bytes, now: float, due: float) -> HelperJob:
    """The job of this ID: the one that there is, or a new one that nobody but us works on before it is due."""
    row = {"task": mine.key, "id": job_id, "request": request, "due": due, "created": now}
    tx.insert_new(helper_jobs, [row])
    found = find_job(tx, mine, job_id)
    assert found is not None
    return found


def find_job(tx: Tx, mine: AggregatorTask, job_id: bytes) -> HelperJob | None:
    this = (helper_jobs.c.task == mine.key) & (helper_jobs.c.id == job_id)
    row = tx.execute(select(helper_jobs).where(this)).one_or_none()
    return None if row is None else _job(row)


def lock_job(tx: Tx, mine: AggregatorTask, job_id: bytes) -> HelperJob:
    """The job as it is now, ours until the transaction ends."""
    this = (helper_jobs.c.task == mine.key) & (helper_jobs.c.id == job_id)
    return _job(tx.execute(select(helper_jobs).where(this).with_for_update()).one())


def lease_job(tx: Tx, now: float, seconds: float) -> HelperJob | None:
    """The job that is due for longest, ours for so many seconds."""
    due = select(helper_jobs).where(helper_jobs.c.due <= now).order_by(helper_jobs.c.due).limit(1)
    row = tx.execute(due.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    this = (helper_jobs.c.task == row.task) & (helper_jobs.c.id == row.id)
    tx.execute(update(helper_jobs).where(this).values(due=now + seconds))
    return _job(row)


def end_job(tx: Tx, job: HelperJob, *, response: bytes | None = None, problem: str | None = None) -> None:
    """Keep the answer; without one, a deleted job's marks stay and its answer goes."""
    this = (helper_jobs.c.task == job.task) & (helper_jobs.c.id == job.id)
    tx.execute(update(helper_jobs).where(this).values(request=None, response=response, problem=problem, due=None))
