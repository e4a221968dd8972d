"""Peers: with whom an Aggregator takes part in tasks that are advertised, and in how many."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, func, insert, or_, select

from ...errors import require
from ...http.urls import parse_server_url
from ..secrets import TaskSecrets
from ..task import Task
from .engine import Tx
from .schema import advertised, peers, tasks
from .tasks import TaskRecord, add_task, find_task

DAY = 86_400.0


@dataclass(frozen=True, repr=False)
class PeerRecord:
    """The other Aggregator of advertised tasks, and their Collector.

    Attributes:
        key: its number in the store.
        leader_url: of the Leader of such tasks.
        helper_url: of their Helper.
        secrets: what every such task has beside its configuration, with the secret that verification keys are derived
            from in place of such a key.
    """

    key: int
    leader_url: str
    helper_url: str
    secrets: TaskSecrets

    def has(self, leader_url: str, helper_url: str) -> bool:
        """Whether a task of these Aggregators, however their URLs are spelled, is one of this peer.

        Args:
            leader_url: the task's.
            helper_url: the task's.

        Raises:
            LocalProtocolError: one of them is no URL of a server.
        """
        own = parse_server_url(self.leader_url), parse_server_url(self.helper_url)
        return own == (parse_server_url(leader_url), parse_server_url(helper_url))


def add_peer(tx: Tx, leader_url: str, helper_url: str, secrets: TaskSecrets, now: float) -> PeerRecord:
    """Store a peer; its secrets are sealed.

    Args:
        tx: a transaction that writes.
        leader_url: of the Leader.
        helper_url: of the Helper.
        secrets: see `PeerRecord`.
        now: POSIX seconds.

    Raises:
        LocalProtocolError: these two have a peer here already, or a URL is none of a server.
    """
    known = any(peer.has(leader_url, helper_url) for peer in list_peers(tx))
    require(not known, f"there is a peer of Leader {leader_url} and Helper {helper_url} here already: delete it first")
    sealed = tx.vault.seal(secrets.encode(), _place(leader_url, helper_url))
    row = {"leader": leader_url, "helper": helper_url, "secrets": sealed, "created": now}
    key = tx.execute(insert(peers).returning(peers.c.key), row).scalar_one()
    return PeerRecord(key, leader_url, helper_url, secrets)


def list_peers(tx: Tx) -> list[PeerRecord]:
    """All peers, in the order in which they were added.

    Args:
        tx: a transaction.
    """
    rows = tx.execute(select(peers).order_by(peers.c.key)).all()
    return [_loaded(tx, row) for row in rows]


def delete_peer(tx: Tx, key: int) -> None:
    """Forget a peer. Its tasks stay.

    Args:
        tx: a transaction that writes.
        key: its number.

    Raises:
        LocalProtocolError: there is no such peer.
    """
    result = tx.execute(delete(peers).where(peers.c.key == key))
    require(result.rowcount == 1, "there is no such peer here")


def count_advertised(tx: Tx, peer: PeerRecord, now: float) -> tuple[int, int]:
    """How many tasks of a peer have not ended, and how many were added within a day.

    Args:
        tx: a transaction.
        peer: whose.
        now: POSIX seconds.
    """
    ours = advertised.c.peer == peer.key
    alive = exists().where(tasks.c.key == advertised.c.task, ~tasks.c.deleted)
    lasting = select(func.count()).where(ours, alive, or_(advertised.c.ends.is_(None), advertised.c.ends > now))
    recent = select(func.count()).where(ours, advertised.c.created > now - DAY)
    return int(tx.execute(lasting).scalar_one()), int(tx.execute(recent).scalar_one())


def lock_peer(tx: Tx, peer: PeerRecord) -> None:
    """Lock a peer until the transaction ends: its tasks are added one after the other.

    Args:
        tx: a transaction that writes.
        peer: which.

    Raises:
        LocalProtocolError: the peer was deleted meanwhile.
    """
    found = tx.execute(select(peers.c.key).where(peers.c.key == peer.key).with_for_update()).one_or_none()
    require(found is not None, "the peer of this task was deleted here")


def was_deleted(tx: Tx, task_id: bytes) -> bool:
    """Whether a task was deleted here: its ID is never used again.

    Args:
        tx: a transaction.
        task_id: 32 bytes.
    """
    return tx.execute(select(tasks.c.key).where(tasks.c.id == task_id, tasks.c.deleted)).one_or_none() is not None


def add_advertised(tx: Tx, peer: PeerRecord, task: Task, secrets: TaskSecrets, now: float) -> TaskRecord:
    """Store a task that was advertised.

    Args:
        tx: a transaction that writes, in which the peer is locked.
        peer: of the task.
        task: that is not here.
        secrets: of the task.
        now: POSIX seconds.
    """
    add_task(tx, task, secrets, now)
    record = find_task(tx, task.id)
    assert record is not None
    ends = None if task.interval is None else float(task.interval.end * task.time_precision)
    tx.execute(insert(advertised), {"task": record.key, "peer": peer.key, "created": now, "ends": ends})
    return record


def _place(leader_url: str, helper_url: str) -> bytes:
    return f"peer {leader_url} {helper_url}".encode()


def _loaded(tx: Tx, row: Any) -> PeerRecord:
    secrets = TaskSecrets.decode(tx.vault.open(row.secrets, _place(row.leader, row.helper)))
    return PeerRecord(row.key, row.leader, row.helper, secrets)
