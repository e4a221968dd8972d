"""What is noticed of tasks: that they were added, and at the Leader what the Helper says of them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, select, update

from .engine import Tx
from .schema import task_watch, tasks
from .tasks import TaskRecord


@dataclass(frozen=True)
class Check:
    """What a task's Helper was asked.

    Attributes:
        task: the store's number of the task.
        helper: what it said, a `HelperState`'s value; None before it was asked.
        reason: in its words.
        checked: when it was asked last, in POSIX seconds.
        attempts: how often it was asked in a row without success.
        due: when it is asked next, in POSIX seconds.
    """

    task: int
    helper: str | None
    reason: str | None
    checked: float | None
    attempts: int
    due: float


_NEW = ~tasks.c.deleted & ~exists().where(task_watch.c.task == tasks.c.key)


def _due(now: float, others: Collection[int]) -> "Select[Any]":
    alive = exists().where(tasks.c.key == task_watch.c.task, ~tasks.c.deleted)
    due = select(task_watch).where(task_watch.c.due <= now, task_watch.c.task.not_in(others), alive)
    return due.order_by(task_watch.c.due).limit(1)


def has_new_tasks(tx: Tx) -> bool:
    """Whether there are tasks that nobody has noticed.

    Args:
        tx: a transaction.
    """
    return tx.execute(select(tasks.c.key).where(_NEW).limit(1)).one_or_none() is not None


def is_check_due(tx: Tx, now: float, others: Collection[int]) -> bool:
    """Whether there is a check that `lease_check` would give.

    Args:
        tx: a transaction.
        now: POSIX seconds.
        others: numbers of tasks that are left out.
    """
    return tx.execute(_due(now, others)).one_or_none() is not None


def notice_tasks(tx: Tx, now: float) -> list[tuple[int, float]]:
    """Notice the tasks that nobody has noticed; each is noticed once, by whichever process is first.

    Args:
        tx: a transaction that writes.
        now: POSIX seconds.

    Returns:
        Of each, the store's number and when it was added.
    """
    new = tx.execute(select(tasks.c.key, tasks.c.created).where(_NEW).order_by(tasks.c.key)).all()
    rows = [{"task": row.key, "due": now} for row in new]
    noticed = tx.insert_new(task_watch, rows, task_watch.c.task) if rows else set()
    return [(row.key, row.created) for row in new if row.key in noticed]


def lease_check(tx: Tx, now: float, lease: float, others: Collection[int]) -> Check | None:
    """The check that has been due for longest; nobody else does it before the lease ends. None if none is due.

    Args:
        tx: a transaction that writes.
        now: POSIX seconds.
        lease: in seconds.
        others: numbers of tasks that are left out.
    """
    row = tx.execute(_due(now, others).with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    this = task_watch.c.task == row.task
    tx.execute(update(task_watch).where(this).values(attempts=row.attempts + 1, due=now + lease))
    return Check(**row._mapping)


def end_check(tx: Tx, check: Check) -> None:
    """Store the outcome of a check.

    Args:
        tx: a transaction that writes.
        check: as it is now.
    """
    values = {name: value for name, value in vars(check).items() if name != "task"}
    tx.execute(update(task_watch).where(task_watch.c.task == check.task).values(**values))


def find_check(tx: Tx, record: TaskRecord) -> Check | None:
    """What a task's Helper was asked; None if the task was not noticed yet.

    Args:
        tx: a transaction.
        record: the task.
    """
    row = tx.execute(select(task_watch).where(task_watch.c.task == record.key)).one_or_none()
    return None if row is None else Check(**row._mapping)
