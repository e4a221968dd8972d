"""Aggregation jobs of the Leader, from the reports that make one until it ends."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, exists, insert, select, update

from ..messages import BATCH_ID_SIZE, Interval
from .engine import Tx
from .reports import batch_target
from .schema import batches, collected, jobs, reports, tasks
from .tasks import TaskRecord, lock_task


@dataclass(frozen=True)
class Job:
    """An aggregation job that this worker has leased.

    Attributes:
        key: its number in the store.
        task: the store's number of its task.
        batch: the batch ID, in leader-selected mode; otherwise None.
        resource: where the Helper keeps the job, once the Helper has said so.
        attempts: how often it was leased before.
    """

    key: int
    task: int
    batch: bytes | None
    resource: str | None
    attempts: int


def list_waiting_tasks(tx: Tx) -> list[int]:
    """The numbers of the tasks that have reports without a job, in the order in which the tasks were made.

    Args:
        tx: a transaction.
    """
    own = (reports.c.task == tasks.c.key) & reports.c.body.is_not(None) & reports.c.job.is_(None)
    return list(tx.execute(select(tasks.c.key).where(exists().where(own)).order_by(tasks.c.key)).scalars())


def add_job(tx: Tx, record: TaskRecord, size: int, now: float, *, min_reports: int = 1) -> int:
    """Put waiting reports into a new aggregation job.

    In leader-selected mode there are no more reports than the batch has room for. Reports whose time has not come wait
    for it: the Helper's clock may be behind ours, and what it refuses as too early would be lost.

    Args:
        tx: a transaction that writes.
        record: the task.
        size: the largest number of reports in the job.
        now: POSIX seconds.
        min_reports: make no job of fewer waiting reports.

    Returns:
        The number of reports in the job; 0 if there is none.
    """
    # Choose a set of candidate reports (section 4.5.3.1): the oldest that have no job.
    lock_task(tx, record.key, alone=not record.task.by_time)  # or two workers would each begin a batch, and fill none
    waiting = (reports.c.task == record.key) & reports.c.body.is_not(None) & reports.c.job.is_(None)
    begun = reports.c.bucket <= int(now) // record.task.time_precision
    chosen = select(reports.c.key).where(waiting, begun).order_by(reports.c.key).limit(size)
    keys = tx.execute(chosen.with_for_update(skip_locked=True)).scalars().all()
    if len(keys) < min_reports or not keys:
        return 0

    # In leader-selected mode they belong to the oldest batch that is not full.
    batch = None
    if not record.task.by_time:
        batch, room = _open_batch(tx, record, now)
        keys = keys[:room]
        this = (batches.c.task == record.key) & (batches.c.batch == batch)
        tx.execute(update(batches).where(this).values(reports=batches.c.reports + len(keys)))

    # Assign them to the new job.
    job = tx.execute(insert(jobs).values(task=record.key, batch=batch, due=now)).inserted_primary_key[0]
    tx.execute(update(reports).where(reports.c.key.in_(keys)).values(job=job))
    return len(keys)


def _open_batch(tx: Tx, record: TaskRecord, now: float) -> tuple[bytes, int]:
    """The oldest batch that is not full, or a new one; and how many more reports it takes."""
    target = batch_target(record)
    not_full = select(batches.c.batch, batches.c.reports).where(
        batches.c.task == record.key,
        batches.c.reports < target,
        ~exists().where(collected.c.task == record.key, collected.c.batch == batches.c.batch),
    )
    open_batch = tx.execute(not_full.order_by(batches.c.created).limit(1).with_for_update()).one_or_none()
    if open_batch is not None:
        return open_batch.batch, target - open_batch.reports
    batch = os.urandom(BATCH_ID_SIZE)
    tx.execute(insert(batches).values(task=record.key, batch=batch, created=now, reports=0))
    return batch, target


def lease_job(tx: Tx, now: float, seconds: float, without: Collection[int] = ()) -> Job | None:
    """Lease the job that has been due for longest; None if none is due.

    Args:
        tx: a transaction that writes.
        now: POSIX seconds.
        seconds: until somebody else may work on it.
        without: the numbers of tasks whose jobs are left alone.
    """
    due = (
        select(jobs)
        .where(jobs.c.due <= now, jobs.c.task.not_in(without))
        .order_by(jobs.c.due)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = tx.execute(due).one_or_none()
    if row is None:
        return None
    tx.execute(update(jobs).where(jobs.c.key == row.key).values(due=now + seconds, attempts=row.attempts + 1))
    return Job(row.key, row.task, row.batch, row.resource, row.attempts)


def postpone_job(tx: Tx, job: Job, due: float, problem: str, resource: str | None = None) -> None:
    """Give a leased job back until a later time.

    Args:
        tx: a transaction that writes.
        job: the job.
        due: when somebody may work on it again, in POSIX seconds.
        problem: why it is postponed, in words.
        resource: where the Helper keeps the job; None if the request has to be sent again.
    """
    tx.execute(update(jobs).where(jobs.c.key == job.key).values(due=due, problem=problem, resource=resource))


def find_problem(tx: Tx, record: TaskRecord, batch: "Interval | bytes") -> str | None:
    """Why a job of a batch was postponed, in words; None if none was.

    Args:
        tx: a transaction.
        record: the task.
        batch: its interval or its ID.
    """
    if isinstance(batch, bytes):
        own = jobs.c.batch == batch
    else:
        own = exists().where(reports.c.job == jobs.c.key, reports.c.bucket.between(batch.start, batch.end - 1))
    postponed = (jobs.c.task == record.key) & jobs.c.problem.is_not(None) & own
    return tx.execute(select(jobs.c.problem).where(postponed).limit(1)).scalar_one_or_none()  # type: ignore[no-any-return]


def list_job_reports(tx: Tx, job: Job) -> list[bytes]:
    """The encoded Reports of a job, in an order that never changes.

    Args:
        tx: a transaction.
        job: the job.
    """
    chosen = select(reports.c.body).where(reports.c.job == job.key).order_by(reports.c.key)
    return list(tx.execute(chosen).scalars())


def split_job(tx: Tx, job: Job, positions: Sequence[int], due: float, problem: str | None = None) -> int | None:
    """Take some of a job's reports into a new job, and return its number; None if the job has ended.

    Args:
        tx: a transaction that writes.
        job: the job.
        positions: of the reports in the job.
        due: when somebody may work on the new job, in POSIX seconds.
        problem: why that is not now, in words.
    """
    own = select(jobs.c.key).where(jobs.c.key == job.key).with_for_update()
    if tx.execute(own).one_or_none() is None:
        return None
    keys = tx.execute(select(reports.c.key).where(reports.c.job == job.key).order_by(reports.c.key)).scalars().all()
    new = tx.execute(
        insert(jobs).values(task=job.task, batch=job.batch, due=due, problem=problem)
    ).inserted_primary_key[0]
    chosen = reports.c.key.in_([keys[i] for i in positions])
    tx.execute(update(reports).where(chosen).values(job=new))
    return int(new)


def end_job(tx: Tx, job: Job, rejected: int) -> bool:
    """End a job: it goes, and so do its reports' bodies. False if another worker has ended it before.

    Args:
        tx: a transaction that writes.
        job: the job.
        rejected: how many of its reports are in no batch.
    """
    if tx.execute(delete(jobs).where(jobs.c.key == job.key)).rowcount == 0:
        return False
    tx.execute(update(reports).where(reports.c.job == job.key).values(body=None, job=None))
    if job.batch is not None and rejected:
        this = (batches.c.task == job.task) & (batches.c.batch == job.batch)
        tx.execute(update(batches).where(this).values(reports=batches.c.reports - rejected))
    return True
