"""Tasks and HPKE keys of one Aggregator."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from ...codec import Nested, Opaque, Struct, UInt
from ...errors import LocalProtocolError, require
from ..hpke import PrivateKey
from ..messages import HpkeConfig, Role, TaskConfiguration
from ..task import Task
from .engine import Tx
from .schema import hpke_keys, tasks


@dataclass(frozen=True, repr=False)
class TaskSecrets(Struct):
    """What one Aggregator holds of a task beside its configuration.

    Attributes:
        role: LEADER or HELPER.
        verify_key: the VDAF verification key, the same for both Aggregators and unknown to Clients.
        collector_config: to whom aggregate shares are sealed.
        peer_token: the Leader's, which it shows to the Helper; the Helper holds its SHA-256.
        collector_token: the SHA-256 of the Collector's; empty at the Helper.
        batch_size: reports in a batch that the Leader selects, min_batch_size at least.
    """

    role: Annotated[Role, UInt(1, Role)]
    verify_key: Annotated[bytes, Opaque(1, least=1)]
    collector_config: Annotated[HpkeConfig, Nested(HpkeConfig)]
    peer_token: Annotated[bytes, Opaque(2, least=1)]
    collector_token: Annotated[bytes, Opaque(1)] = b""
    batch_size: Annotated[int, UInt(8)] = 0


@dataclass(frozen=True, repr=False)
class AggregatorTask:
    """A task as one Aggregator has it.

    Attributes:
        key: its number in the store.
        task, secrets: what it is and what belongs to it.
    """

    key: int
    task: Task
    secrets: TaskSecrets

    def __post_init__(self) -> None:
        size = self.task.prio3.VERIFY_KEY_SIZE
        require(len(self.secrets.verify_key) == size, f"this task's verification key has {size} bytes")
        require(self.secrets.batch_size < 1 << 63, "a batch has fewer than 2^63 reports")


def token_hash(token: bytes) -> bytes:
    """What is kept of a token that only has to be recognised."""
    return sha256(token).digest()


def token_matches(token: bytes | None, kept: bytes) -> bool:
    """In a time that does not depend on where they differ."""
    return hmac.compare_digest(token_hash(b"" if token is None else token), kept) and token is not None


def add_task(tx: Tx, task: Task, secrets: TaskSecrets, now: float) -> None:
    """Raises LocalProtocolError if there is one of this ID, or was: IDs are never used again."""
    AggregatorTask(0, task, secrets)
    sealed = tx.vault.seal(secrets.encode(), b"task" + task.id)
    row = {"id": task.id, "configuration": task.encoded, "secrets": sealed, "created": now}
    try:
        tx.execute(insert(tasks), row)
    except IntegrityError:
        raise LocalProtocolError(f"there is or was a task {task.text} here already") from None


def find_task(tx: Tx, task_id: bytes) -> AggregatorTask | None:
    found = tx.execute(select(tasks).where(tasks.c.id == task_id, ~tasks.c.deleted)).one_or_none()
    return None if found is None else _loaded(tx, found)


class KnownTasks:
    """Tasks that were loaded once: they never change, and making their VDAFs takes a while."""

    def __init__(self) -> None:
        self._loaded: dict[int, AggregatorTask] = {}

    def all(self, tx: Tx) -> list[AggregatorTask]:
        """Those that are not deleted, in the order in which they were made."""
        keys = tx.execute(select(tasks.c.key).where(~tasks.c.deleted).order_by(tasks.c.key)).scalars().all()
        return [found for key in keys if (found := self.get(tx, key)) is not None]

    def get(self, tx: Tx, key: int) -> AggregatorTask | None:
        """The task of this number, unless it is deleted."""
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
    """Until the transaction ends: releases of a task exclude one another and all that adds to its batches.

    On SQLite a write excludes every other anyway.
    """
    if tx.connection.dialect.name == "sqlite":
        return
    tx.execute(_LOCKS[alone], {"number": key}).one()


def delete_task(tx: Tx, task_id: bytes) -> None:
    """Forget its secrets, not what was aggregated and collected. Raises LocalProtocolError if there is none."""
    known = (tasks.c.id == task_id) & ~tasks.c.deleted
    result = tx.execute(update(tasks).where(known).values(deleted=True, secrets=b""))
    require(result.rowcount == 1, "there is no such task here")


def _loaded(tx: Tx, row: Any) -> AggregatorTask:
    task = Task(row.id, TaskConfiguration.decode(row.configuration))
    secrets = TaskSecrets.decode(tx.vault.open(row.secrets, b"task" + task.id))
    return AggregatorTask(row.key, task, secrets)


@dataclass(frozen=True, repr=False)
class KeyPair:
    """An HPKE configuration and its private key.

    Attributes:
        advertised_until, accepted_until: POSIX seconds; None for no end.
        created: POSIX seconds, once it is in the store.
    """

    config: HpkeConfig
    private_key: PrivateKey = field(compare=False)
    advertised_until: float | None = None
    accepted_until: float | None = None
    created: float = 0.0

    def advertised(self, now: float) -> bool:
        return self.advertised_until is None or now < self.advertised_until

    def accepted(self, now: float) -> bool:
        return self.accepted_until is None or now < self.accepted_until


def add_key(tx: Tx, pair: KeyPair, now: float) -> None:
    """Raises LocalProtocolError if its number is taken."""
    private_key = tx.vault.seal(pair.private_key.private_bytes, b"hpke key" + bytes([pair.config.id]))
    row = {"id": pair.config.id, "config": pair.config.encode(), "private_key": private_key, "created": now}
    ends = {"advertised_until": pair.advertised_until, "accepted_until": pair.accepted_until}
    try:
        tx.execute(insert(hpke_keys), row | ends)
    except IntegrityError:
        raise LocalProtocolError(f"there is an HPKE key with number {pair.config.id} already") from None


def all_keys(tx: Tx) -> list[KeyPair]:
    """The newest, which Clients should prefer, first."""
    rows = tx.execute(select(hpke_keys).order_by(hpke_keys.c.created.desc(), hpke_keys.c.id))
    return [
        KeyPair(
            HpkeConfig.decode(row.config),
            PrivateKey.from_bytes(tx.vault.open(row.private_key, b"hpke key" + bytes([row.id]))),
            row.advertised_until,
            row.accepted_until,
            row.created,
        )
        for row in rows
    ]


def end_key(tx: Tx, number: int, advertised_until: float, accepted_until: float) -> None:
    """Set when a key's time is over. Raises LocalProtocolError if there is none of this number."""
    ends = {"advertised_until": advertised_until, "accepted_until": accepted_until}
    result = tx.execute(update(hpke_keys).where(hpke_keys.c.id == number).values(**ends))
    require(result.rowcount == 1, f"there is no HPKE key with number {number}")
