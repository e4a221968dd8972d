"""Tasks of one Aggregator."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...errors import LocalProtocolError, require
from ..dialect import UNNAMED, find_dialect
from ..messages import TaskConfiguration
from ..secrets import TaskSecrets, token_hash
from ..task import Task
from .client_tokens import read_client_tokens
from .engine import Tx
from .schema import client_tokens, old_tokens, tasks
from .tokens import OldToken, find_old_token, recognised


@dataclass(frozen=True, repr=False)
class TaskRecord:
    """A task as one Aggregator has it stored.

    Attributes:
        key: its number in the store.
        task: its ID and configuration.
        secrets: what this Aggregator holds of it beside its configuration.
        old_token: the one before the token that it recognises, while that is being replaced.
        client_tokens: the `token_hash` of each token that uploads may show, at the Leader; none if they need not.

    Raises:
        LocalProtocolError: the secrets do not suit the task.
    """

    key: int
    task: Task
    secrets: TaskSecrets
    old_token: OldToken | None = None
    client_tokens: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        size = self.task.prio3.VERIFY_KEY_SIZE
        require(len(self.secrets.verify_key) == size, f"this task's verification key must have {size} bytes")
        require(self.secrets.batch_size < 1 << 63, "batch_size must be below 2^63")

    def accepted(self, now: float) -> list[bytes]:
        """The `token_hash` of each token that this Aggregator recognises: of the Leader's or the Collector's.

        Args:
            now: POSIX seconds.
        """
        old = [] if self.old_token is None or now >= self.old_token.until else [self.old_token.hash]
        return [each for each in (recognised(self.secrets), *old) if each]

    def takes_uploads_of(self, token: bytes | None) -> bool:
        """Whether whoever shows this token may upload.

        Args:
            token: None if none was shown.
        """
        if not self.client_tokens:
            return True
        # How long hashes take to compare says nothing of a token that has one of them.
        return token is not None and token_hash(token) in self.client_tokens


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
    """Tasks that were loaded once: but for their tokens they never change, and making their VDAFs takes a while.

    Tokens of Clients may be outdated: nobody uploads to whoever uses this.
    """

    def __init__(self) -> None:
        self._loaded: dict[int, tuple[bytes, TaskRecord]] = {}  # with its secrets as they were sealed

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
        sealed, known = self._loaded.get(key, (b"", None))
        row = tx.execute(select(tasks if known is None else tasks.c.secrets).where(this)).one_or_none()
        if row is None:
            return None
        if known is None or row.secrets != sealed:
            whole = row if known is None else tx.execute(select(tasks).where(this)).one()
            latest = _loaded(tx, whole)
            self._loaded[key] = whole.secrets, latest if known is None else with_vdaf(latest, known)
        return self._loaded[key][1]


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
    own = select(tasks.c.key).where(tasks.c.id == task_id).scalar_subquery()
    for tokens in (old_tokens, client_tokens):
        tx.execute(delete(tokens).where(tokens.c.task == own))


def with_vdaf(latest: TaskRecord, known: TaskRecord) -> TaskRecord:
    """A task as it was read again, with the VDAF that was made for it before.

    Args:
        latest: as it was read.
        known: the same task, as it was read before.
    """
    return replace(latest, task=known.task)


def _loaded(tx: Tx, row: Any) -> TaskRecord:
    dialect = UNNAMED if row.dialect is None else find_dialect(row.dialect)
    task = Task(row.id, TaskConfiguration.decode(row.configuration), dialect)
    secrets = TaskSecrets.decode(tx.vault.open(row.secrets, b"task" + task.id))
    clients = read_client_tokens(tx, row.key, task.id)
    return TaskRecord(row.key, task, secrets, find_old_token(tx, row.key, task.id), clients)
