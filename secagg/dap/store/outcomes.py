"""What became of reports, by the hour. It is for the operator to look at, and nothing is decided by it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from ..tally import Counts, Stage, Tally
from .engine import Store, Tx
from .schema import outcomes, tasks
from .tasks import TaskRecord

HOUR = 3600
HOURS_KEPT = 14 * 24
_IDS = 500  # in one statement: databases bound its parameters


@dataclass(frozen=True)
class Outcome:
    """How many reports of a task had one outcome within an hour.

    Attributes:
        hour: since 1970.
        stage: where that was decided.
        name: `accepted`, `aggregated`, or a ReportError's value.
        count: how many.
    """

    hour: int
    stage: Stage
    name: str
    count: int


def keep_tally(store: Store, tally: Tally, now: float) -> None:
    """Store what was counted since the last time. If that fails, it stays counted.

    Args:
        store: of this Aggregator.
        tally: of this process.
        now: POSIX seconds.

    Raises:
        StoreUnavailable: nothing was stored.
    """
    counts = tally.take()
    if not counts:
        return
    try:
        with store.write() as tx:
            add_outcomes(tx, counts, now)
    except BaseException:
        tally.put_back(counts)
        raise


def add_outcomes(tx: Tx, counts: Counts, now: float) -> None:
    """Add to the counts of this hour; those of tasks that are deleted are left out.

    Args:
        tx: a transaction that writes.
        counts: what was counted.
        now: POSIX seconds.
    """
    keys = _keys(tx, sorted({task_id for task_id, _, _ in counts}))
    rows: list[dict[str, Any]] = [
        {"task": keys[task_id], "hour": int(now) // HOUR, "stage": stage, "outcome": outcome, "count": count}
        for (task_id, stage, outcome), count in sorted(counts.items())  # in one order: no two wait for each other
        if task_id in keys and count
    ]
    if rows:
        made = (postgresql if tx.connection.dialect.name == "postgresql" else sqlite).insert(outcomes)
        more = {"count": outcomes.c.count + made.excluded.count}
        tx.execute(made.on_conflict_do_update(index_elements=list(outcomes.primary_key), set_=more), rows)


def _keys(tx: Tx, ids: list[bytes]) -> dict[bytes, int]:
    """The numbers of the tasks with these IDs, in the store."""
    found: dict[bytes, int] = {}
    for i in range(0, len(ids), _IDS):
        chosen = select(tasks.c.id, tasks.c.key).where(tasks.c.id.in_(ids[i : i + _IDS]), ~tasks.c.deleted)
        found.update((bytes(row.id), row.key) for row in tx.execute(chosen))
    return found


def list_outcomes(tx: Tx, record: TaskRecord, since: int) -> list[Outcome]:
    """What became of a task's reports, the oldest hour first.

    Args:
        tx: a transaction.
        record: the task.
        since: the first hour, since 1970.
    """
    columns = (outcomes.c.hour, outcomes.c.stage, outcomes.c.outcome, outcomes.c.count)
    chosen = select(*columns).where(outcomes.c.task == record.key, outcomes.c.hour >= since).order_by(*columns)
    return [Outcome(hour, Stage(stage), name, count) for hour, stage, name, count in tx.execute(chosen)]


def delete_outcomes(tx: Tx, now: float) -> None:
    """Delete what is older than HOURS_KEPT.

    Args:
        tx: a transaction that writes.
        now: POSIX seconds.
    """
    tx.execute(delete(outcomes).where(outcomes.c.hour < int(now) // HOUR - HOURS_KEPT))
