"""Rotation of a task's tokens, without a moment at which none is accepted.

An Aggregator that recognises a token (the Helper the Leader's, the Leader the Collector's) first accepts the new one,
too. Then the other side shows the new one. The old one ends by itself, or once it is ended. Only hashes are stored of a
token that has to be recognised, and they are sealed.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select, update

from ...errors import require
from ..messages import Role
from ..secrets import TaskSecrets, require_hash
from .engine import Tx
from .schema import old_tokens, task_watch, tasks


@dataclass(frozen=True, repr=False)
class OldToken:
    """A token that is still accepted although there is a newer one.

    Attributes:
        hash: its `token_hash`.
        until: when that ends, in POSIX seconds.
    """

    hash: bytes
    until: float


def find_old_token(tx: Tx, key: int, task_id: bytes) -> OldToken | None:
    """The token of a task before the present one; None if there is none, or it was ended.

    Args:
        tx: a transaction.
        key: the task's number in the store.
        task_id: 32 bytes.
    """
    row = tx.execute(select(old_tokens).where(old_tokens.c.task == key)).one_or_none()
    return None if row is None else OldToken(tx.vault.open(row.hash, _place(task_id)), row.until)


def accept_token(
    tx: Tx, key: int, task_id: bytes, secrets: TaskSecrets, digest: bytes, now: float, until: float
) -> None:
    """Recognise a new token, and the present one until a time.

    Args:
        tx: a transaction that writes.
        key: the task's number in the store.
        task_id: 32 bytes.
        secrets: of this Aggregator, as they are.
        digest: the new token's `token_hash`.
        now: POSIX seconds.
        until: when the present one ends, in POSIX seconds.

    Raises:
        LocalProtocolError: the token is the present one, or an older one is still accepted.
    """
    require_hash(digest)
    present = recognised(secrets)
    require(digest != present, "this token is the one that is accepted already")
    old = find_old_token(tx, key, task_id)
    require(
        old is None or now >= old.until,
        "the token before this one is still accepted: whoever shows it may not know the present one yet; end it first",
    )
    _end(tx, key)
    sealed = tx.vault.seal(present, _place(task_id))
    tx.execute(insert(old_tokens).values(task=key, hash=sealed, until=until))
    of_leader = secrets.role is Role.HELPER
    changed = replace(secrets, peer_token=digest) if of_leader else replace(secrets, collector_token=digest)
    _store(tx, key, task_id, changed)


def end_old_token(tx: Tx, key: int) -> None:
    """Accept the present token alone from now on.

    Args:
        tx: a transaction that writes.
        key: the task's number in the store.

    Raises:
        LocalProtocolError: there is no other.
    """
    require(_end(tx, key), "no older token of this task is accepted")


def use_token(tx: Tx, key: int, task_id: bytes, secrets: TaskSecrets, token: bytes, now: float) -> None:
    """Show the Helper another token from now on, and ask it soon whether it takes it.

    Args:
        tx: a transaction that writes, on the Leader's store.
        key: the task's number in the store.
        task_id: 32 bytes.
        secrets: of the Leader, as they are.
        token: as it travels in a header.
        now: POSIX seconds.
    """
    _store(tx, key, task_id, replace(secrets, peer_token=token))
    tx.execute(update(task_watch).where(task_watch.c.task == key).values(due=now, attempts=0))


def recognised(secrets: TaskSecrets) -> bytes:
    """The `token_hash` of the token that this Aggregator recognises: of the Leader's or the Collector's.

    Args:
        secrets: of this Aggregator.
    """
    return secrets.peer_token if secrets.role is Role.HELPER else secrets.collector_token


def _end(tx: Tx, key: int) -> bool:
    ended: Any = tx.execute(delete(old_tokens).where(old_tokens.c.task == key))
    return bool(ended.rowcount)


def _store(tx: Tx, key: int, task_id: bytes, secrets: TaskSecrets) -> None:
    sealed = tx.vault.seal(secrets.encode(), b"task" + task_id)
    tx.execute(update(tasks).where(tasks.c.key == key).values(secrets=sealed))


def _place(task_id: bytes) -> bytes:
    return b"old token" + task_id
