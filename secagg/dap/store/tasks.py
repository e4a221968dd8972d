"""Tasks of one Aggregator."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...errors import LocalProtocolError, require
from ..dialect import UNNAMED, find_dialect
from ..messages import TaskConfiguration
from ..secrets import TaskSecrets
from ..task import Task
from .engine import Tx
from .schema import tasks


@dataclass(frozen=True, repr=False)
class TaskRecord:
    """A task as one Aggregator has it stored.

    Attributes:
        key: its number in the store.
        task: its ID and configuration.
        secrets: what this Aggregator holds of it beside its configuration.

    Raises:
        LocalProtocolError: the secrets do not suit the task.
    """

    key: int
    task: Task
    secrets: TaskSecrets

    def __post_init__(self) -> None:
        size = self.task.prio3.VERIFY_KEY_SIZE
        require(len(self.secrets.verify_key) == size, f"this task's verification key must have {size} bytes")
        require(self.secrets.batch_size < 1 << 63, "batch_size must be below 2^63")


def add_task(tx: Tx, task: Task, secrets: TaskSecrets, now: float) -> None:
    """Store a task; its secrets are sealed.

    Args:
        tx: a transaction that writes.
        task: its ID and configuration.
        secrets: of this Aggregator.
        now: POSIX seconds.

    Raises:
        LocalProtocolError: there is or was a task with this ID: IDs are never used again.
    """
    TaskRecord(0, task, secrets)
    sealed = tx.vault.seal(secrets.encode(), b"task" + task.id)
    row = {
        "id": task.id,
        "configuration": task.encoded,
        "dialect": task.dialect.name,
        "secrets": sealed,
        "created": now,
    }
    try:
        tx.execute(insert(tasks), row)
    except IntegrityError:
        raise LocalProtocolError(f"there is or was a task {task.text} here already") from None


def find_task(tx: Tx, task_id: bytes) -> TaskRecord | None:
    """The task with this ID; None if there is none or it was deleted.

    Args:
        tx: a transaction.
        task_id: 32 bytes.
    """
    row = tx.execute(select(tasks).where(tasks.c.id == task_id, ~tasks.c.deleted)).one_or_none()
    return None if row is None else _loaded(tx, row)


class KnownTasks:
    """Tasks that were loaded once: they never change, and making their VDAFs takes a while."""

    def __init__(self) -> None:
        self._loaded: dict[int, TaskRecord] = {}

    def list_all(self, tx: Tx) -> list[TaskRecord]:
        """The tasks that are not deleted, in the order in which they were made.

        Args:
            tx: a transaction.
        """
        keys = tx.execute(select(tasks.c.key).where(~tasks.c.deleted).order_by(tasks.c.key)).scalars().all()
        return [record for key in keys if (record := self.find(tx, key)) is not None]

    def find(self, tx: Tx, key: int) -> TaskRecord | None:
        """The task with this number; None if it is deleted.

        Args:
            tx: a transaction.
            key: its number in the store.
        """
        this = (tasks.c.key == key) & ~tasks.c.deleted
        if key not in self._loaded:
            row = tx.execute(select(tasks).where(this)).one_or_none()
            if row is None:
                return None
            self._loaded[key] = _loaded(tx, row)
            return self._loaded[key]
        return self._loaded[key] if tx.execute(select(tasks.c.key).where(this)).one_or_none() is not None else None


_ONE = select(tasks.c.key).where(tasks.c.key == bindparam("number"))
_LOCKS = {alone: _ONE.with_for_update(read=not alone) for alone in (False, True)}  # made once: every upload takes one


def lock_task(tx: Tx, key: int, *, alone: bool) -> None:
    """Lock a task until the transaction ends: its releases exclude one another and all that adds to its batches.

    On SQLite a write excludes every other one anyway.

    Args:
        tx: a transaction that writes.
        key: the task's number in the store.
        alone: exclude every other lock, for a release; False excludes only those that are alone.
    """
    if tx.connection.dialect.name == "sqlite":
        return
    tx.execute(_LOCKS[alone], {"number": key}).one()


def delete_task(tx: Tx, task_id: bytes) -> None:
    """Delete a task's secrets. What was aggregated and collected is remembered.

    Args:
        tx: a transaction that writes.
        task_id: 32 bytes.

    Raises:
        LocalProtocolError: there is no such task.
    """
    known = (tasks.c.id == task_id) & ~tasks.c.deleted
    result = tx.execute(update(tasks).where(known).values(deleted=True, secrets=b""))
    require(result.rowcount == 1, "there is no such task here")


def _loaded(tx: Tx, row: Any) -> TaskRecord:
    dialect = UNNAMED if row.dialect is None else find_dialect(row.dialect)
    task = Task(row.id, TaskConfiguration.decode(row.configuration), dialect)
    secrets = TaskSecrets.decode(tx.vault.open(row.secrets, b"task" + task.id))
    return TaskRecord(row.key, task, secrets)
