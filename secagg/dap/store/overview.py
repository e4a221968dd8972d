"""What an operator looks at: bounded lists of tasks, batches, jobs and keys, without anything that is secret."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, exists, func, select

from ..messages import Role
from .engine import Tx
from .reports import batch_target
from .schema import batches, buckets, collected, collection_jobs, helper_jobs, hpke_keys, jobs, tasks
from .tasks import TaskRecord


@dataclass(frozen=True)
class KeyTimes:
    """An HPKE key without its private part.

    Attributes:
        id: its number.
        created: POSIX seconds.
        advertised_until: until when Clients are told of it, in POSIX seconds; None for no end.
        accepted_until: until when new reports may use it, in POSIX seconds; None for no end.
    """

    id: int
    created: float
    advertised_until: float | None
    accepted_until: float | None


@dataclass(frozen=True)
class OpenBatch:
    """Reports that are not collected yet: by time those of one time_precision, else those of one batch.

    Attributes:
        start: of the interval, in time_precision; None of a batch that the Leader has selected.
        created: when the batch was begun, in POSIX seconds; None by time, and at the Helper.
        reports: how many it has.
        target: how many it should have.
    """

    start: int | None
    created: float | None
    reports: int
    target: int


@dataclass(frozen=True)
class WaitingJob:
    """A job that has not ended.

    Attributes:
        task: the store's number of its task.
        kind: "collection" or "aggregation".
        since: when it was made, in POSIX seconds; None if that is not known.
        due: when somebody works on it next, in POSIX seconds.
        attempts: how often somebody has.
        why: what it waits for, in words, which may be a peer's; None if nobody has said.
        request: the encoded request of a collection; None of other jobs.
    """

    task: int
    kind: str
    since: float | None
    due: float
    attempts: int
    why: str | None
    request: bytes | None


def list_task_keys(tx: Tx, skip: int, most: int) -> list[tuple[int, float]]:
    """The store's numbers of tasks that are not deleted, and when they were added, the newest first.

    Args:
        tx: a transaction.
        skip: how many are left out.
        most: how many there are at most.
    """
    chosen = select(tasks.c.key, tasks.c.created).where(~tasks.c.deleted).order_by(tasks.c.key.desc())
    return [(row.key, row.created) for row in tx.execute(chosen.offset(skip).limit(most))]


def count_tasks(tx: Tx) -> int:
    """How many tasks there are that are not deleted.

    Args:
        tx: a transaction.
    """
    return int(tx.execute(select(func.count()).select_from(tasks).where(~tasks.c.deleted)).scalar_one())


def list_key_times(tx: Tx) -> list[KeyTimes]:
    """All HPKE keys, the newest first. There are 256 at most.

    Args:
        tx: a transaction.
    """
    columns = (getattr(hpke_keys.c, name) for name in KeyTimes.__dataclass_fields__)
    return [KeyTimes(*row) for row in tx.execute(select(*columns).order_by(hpke_keys.c.created.desc()))]


def list_open_batches(tx: Tx, record: TaskRecord, role: Role, most: int) -> tuple[list[OpenBatch], int, int]:
    """What a task has aggregated and not released.

    Args:
        tx: a transaction.
        record: the task.
        role: LEADER or HELPER.
        most: how many there are at most: by time the latest, else the oldest.

    Returns:
        These, and how many there are in all, with how many reports.
    """
    if record.task.by_time or role is Role.HELPER:
        own, target, by_time = buckets.c.task == record.key, record.task.min_batch_size, record.task.by_time
        latest = select(buckets.c.start, buckets.c.count).where(own).order_by(buckets.c.start.desc()).limit(most)
        listed = [OpenBatch(row[0] if by_time else None, None, row[1], target) for row in tx.execute(latest)]
        counted = select(func.count(), func.coalesce(func.sum(buckets.c.count), 0)).where(own)
    else:
        done = exists().where(collected.c.task == record.key, collected.c.batch == batches.c.batch)
        mine = (batches.c.task == record.key) & ~done
        oldest = select(batches.c.created, batches.c.reports).where(mine).order_by(batches.c.created).limit(most)
        target = batch_target(record)
        listed = [OpenBatch(None, row.created, row.reports, target) for row in tx.execute(oldest)]
        counted = select(func.count(), func.coalesce(func.sum(batches.c.reports), 0)).where(mine)
    count, reports = tx.execute(counted).one()
    return listed, int(count), int(reports)


def count_collected(tx: Tx, record: TaskRecord) -> int:
    """How many batches of a task are collected.

    Args:
        tx: a transaction.
        record: the task.
    """
    return _count(tx, collected, collected.c.task == record.key)


def list_waiting_jobs(tx: Tx, role: Role, most: int) -> tuple[list[WaitingJob], int]:
    """Jobs that wait: at the Leader collections, and aggregation jobs that had to be postponed; at the Helper
    aggregation jobs that are not answered.

    Args:
        tx: a transaction.
        role: LEADER or HELPER.
        most: how many of each kind there are at most, the oldest first.

    Returns:
        These, and how many there are in all.
    """
    if role is Role.HELPER:
        open_ones = helper_jobs.c.due.is_not(None)
        columns = (helper_jobs.c.task, helper_jobs.c.created, helper_jobs.c.due)
        rows = tx.execute(select(*columns).where(open_ones).order_by(helper_jobs.c.created).limit(most))
        found = [WaitingJob(row.task, "aggregation", row.created, row.due, 0, None, None) for row in rows]
        return found, _count(tx, helper_jobs, open_ones)
    c, alive = collection_jobs.c, collection_jobs.c.due.is_not(None)
    asked = select(c.task, c.created, c.due, c.attempts, c.waiting, c.request).where(alive).order_by(c.created)
    waiting = [
        WaitingJob(row.task, "collection", row.created, row.due, row.attempts, row.waiting, row.request)
        for row in tx.execute(asked.limit(most))
    ]
    postponed = jobs.c.problem.is_not(None)
    again = select(jobs).where(postponed).order_by(jobs.c.key).limit(most)
    waiting += [
        WaitingJob(row.task, "aggregation", None, row.due, row.attempts, row.problem, None) for row in tx.execute(again)
    ]
    return waiting, _count(tx, collection_jobs, alive) + _count(tx, jobs, postponed)


def _count(tx: Tx, table: Table, condition: Any) -> int:
    return int(tx.execute(select(func.count()).select_from(table).where(condition)).scalar_one())
