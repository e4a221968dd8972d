"""Batch buckets (section 4.5.4.3): output shares are added to a bucket until a batch that has it is collected.

The transaction that adds checks that each report is counted once, and that nothing is added to a collected batch.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    union_all,
    update,
)

from ...errors import ReportRejected
from ...vdaf import Rows
from ..messages import CHECKSUM_SIZE, BatchMode, Interval, ReportError, checksum
from .engine import Tx
from .schema import aggregated, buckets, collected, collection_jobs
from .tasks import TaskRecord, lock_task

_STREAMED = 100  # buckets in memory at once


def _near(table: Table) -> Select[tuple[int, int]]:
    """Intervals of a task that have any of the buckets from `first` to `last`."""
    own, bounds = table.c.task == bindparam("key"), (table.c.start, table.c.end)
    return select(*bounds).where(own, table.c.start <= bindparam("last"), table.c.end > bindparam("first"))


_COLLECTED = _near(collected)
_CLOSED = union_all(_COLLECTED, _near(collection_jobs))  # made once: every upload asks it


@dataclass(frozen=True, repr=False, eq=False)
class Outputs:
    """Reports that an aggregation job has verified.

    Attributes:
        report_ids: the ID of each.
        times: the time of each, in time_precision.
        batch_id: the batch of them all, in leader-selected mode; otherwise None.
        out_shares: the output share of each; those of rejected reports are left out.
    """

    report_ids: Sequence[bytes]
    times: Sequence[int]
    batch_id: bytes | None
    out_shares: Rows

    def bucket(self, i: int) -> bytes:
        """The batch bucket identifier of a report (section 4.5.4.3).

        Args:
            i: the report's position.
        """
        return bucket_id(self.times[i]) if self.batch_id is None else self.batch_id


@dataclass(frozen=True, repr=False, eq=False)
class Batch:
    """What the buckets of one batch hold together (section 4.6.4).

    Attributes:
        share: the encoded aggregate share, without noise.
        count: the number of reports in it.
        checksum: the XOR of their IDs' hashes.
        interval: the smallest interval that holds all their times; empty if there are no reports.
    """

    share: bytes
    count: int
    checksum: bytes
    interval: Interval


def bucket_id(start: int) -> bytes:
    """The identifier of a bucket of one time_precision.

    Args:
        start: of the bucket, in time_precision.
    """
    return start.to_bytes(8, "big")


def commit(tx: Tx, record: TaskRecord, outputs: Outputs, *, replays: bool) -> dict[int, ReportError]:
    """Commit the output shares that may be committed (section 4.5.4.3).

    Args:
        tx: a transaction that writes.
        record: the task.
        outputs: of an aggregation job.
        replays: refuse IDs that were added before, and remember the new ones; False where the caller has done so.

    Returns:
        Why each of the others was not committed, by position.
    """
    # batch_collected: the batch bucket was collected before.
    lock_task(tx, record.key, alone=False)
    count = len(outputs.report_ids)
    late = list_collected_buckets(tx, record, [outputs.bucket(i) for i in range(count)])
    errors = {i: ReportError.BATCH_COLLECTED for i in range(count) if outputs.bucket(i) in late}
    rows = _without(outputs.out_shares, errors)

    # report_replayed: the report ID was aggregated before; new ones are remembered.
    if replays:
        replayed = _replayed(tx, record, outputs, np.flatnonzero(rows.accepted).tolist())
        errors.update(replayed)
        rows = _without(rows, replayed)

    # Add what is left, bucket by bucket.
    added = np.flatnonzero(rows.accepted).tolist()
    members: dict[bytes, list[int]] = {}
    for i in added:
        members.setdefault(outputs.bucket(i), []).append(i)
    for bucket in sorted(members):  # in one order, so that no two transactions wait for each other
        _add(tx, record, bucket, members[bucket], outputs, rows)
    return errors


def _without(rows: Rows, errors: Mapping[int, ReportError]) -> Rows:
    return rows.reject({i: ReportRejected(error.name, i) for i, error in errors.items()})


def _replayed(tx: Tx, record: TaskRecord, outputs: Outputs, added: list[int]) -> dict[int, ReportError]:
    """Which of these reports were aggregated before; the IDs of the others are remembered."""
    if not added:
        return {}
    keys = [{"task": record.key, "report": outputs.report_ids[i], "bucket": outputs.times[i]} for i in added]
    new = tx.insert_new(aggregated, keys, aggregated.c.report)
    return {i: ReportError.REPORT_REPLAYED for i in added if outputs.report_ids[i] not in new}


def _add(tx: Tx, record: TaskRecord, bucket: bytes, members: list[int], outputs: Outputs, rows: Rows) -> None:
    # Look up the batch bucket, or initialize a new one: Vdaf.agg_init.
    prio3, place = record.task.prio3, _place(record, bucket)
    times = [outputs.times[i] for i in members]
    empty = {"share": b"", "count": 0, "checksum": bytes(CHECKSUM_SIZE), "start": min(times), "end": max(times) + 1}
    tx.insert_new(buckets, [{"task": record.key, "bucket": bucket, **empty}], buckets.c.bucket)
    this = (buckets.c.task == record.key) & (buckets.c.bucket == bucket)
    old = tx.execute(select(buckets).where(this).with_for_update()).one()
    share = prio3.agg_init() if old.count == 0 else prio3.decode_agg_share(tx.vault.open(old.share, place))

    # Vdaf.agg_update, count and checksum (section 4.5.4.3).
    prio3.agg_update(share, Rows(np.ascontiguousarray(rows.data[members])))
    ids = checksum([outputs.report_ids[i] for i in members])
    new = {
        "share": tx.vault.seal(prio3.encode_agg_share(share), place),
        "count": old.count + len(members),
        "checksum": xor(old.checksum, ids),
        "start": min(old.start, min(times)),
        "end": max(old.end, max(times) + 1),
    }
    tx.execute(update(buckets).where(this).values(**new))


def get_batch(tx: Tx, record: TaskRecord, batch: "Interval | bytes") -> Batch:
    """All buckets of a batch, merged (section 4.6.4).

    Args:
        tx: a transaction.
        record: the task.
        batch: its interval or its ID.
    """
    prio3 = record.task.prio3
    total, count, xored = prio3.agg_init(), 0, bytes(CHECKSUM_SIZE)
    start, end = None, 0
    chosen = select(buckets).where(buckets.c.task == record.key, _of(batch), buckets.c.count > 0)
    for row in tx.execute(chosen.execution_options(yield_per=_STREAMED)):
        opened = prio3.decode_agg_share(tx.vault.open(row.share, _place(record, row.bucket)))
        total = prio3.merge([total, opened])
        count, xored = count + row.count, xor(xored, row.checksum)
        start, end = row.start if start is None else min(start, row.start), max(end, row.end)
    first = start or 0
    return Batch(prio3.encode_agg_share(total), count, xored, Interval(first, end - first))


def count_reports(tx: Tx, record: TaskRecord, batch: "Interval | bytes") -> int:
    """How many reports are in a batch that is not collected.

    Args:
        tx: a transaction.
        record: the task.
        batch: its interval or its ID.
    """
    return sum(tx.execute(select(buckets.c.count).where(buckets.c.task == record.key, _of(batch))).scalars())


def _of(batch: "Interval | bytes") -> "ColumnElement[bool]":
    """The condition that a bucket belongs to a batch."""
    if isinstance(batch, bytes):
        return buckets.c.bucket == batch
    return buckets.c.bucket.between(bucket_id(batch.start), bucket_id(batch.end - 1))


def mark_collected(tx: Tx, record: TaskRecord, batch: "Interval | bytes", digest: bytes) -> None:
    """Mark a batch as collected: nothing is added to its buckets any more, and no other batch may have them.

    What the buckets held is deleted. The caller holds `lock_task` alone.

    Args:
        tx: a transaction that writes.
        record: the task.
        batch: its interval or its ID.
        digest: SHA-256 of the aggregate share as it leaves, noise included.
    """
    if isinstance(batch, bytes):
        name, ends = batch, None
    else:
        name, ends = batch.encode(), batch
    row = {"task": record.key, "batch": name, "digest": digest, "start": ends and ends.start, "end": ends and ends.end}
    tx.execute(insert(collected), row)
    tx.execute(delete(buckets).where(buckets.c.task == record.key, _of(batch)))


def get_collected_digest(tx: Tx, record: TaskRecord, batch: bytes) -> bytes:
    """The digest of a collected batch's share.

    Args:
        tx: a transaction.
        record: the task.
        batch: the encoded interval or the ID.
    """
    this = (collected.c.task == record.key) & (collected.c.batch == batch)
    return bytes(tx.execute(select(collected.c.digest).where(this)).scalar_one())


def overlaps_collected(tx: Tx, record: TaskRecord, batch: "Interval | bytes") -> bool:
    """Whether a collected batch shares a bucket with this batch.

    Args:
        tx: a transaction.
        record: the task.
        batch: its interval or its ID.
    """
    if isinstance(batch, bytes):
        shared = collected.c.batch == batch
    else:
        shared = (collected.c.start < batch.end) & (collected.c.end > batch.start)
    return bool(tx.execute(select(exists().where(collected.c.task == record.key, shared))).scalar())


def list_collected_buckets(tx: Tx, record: TaskRecord, ids: Sequence[bytes]) -> set[bytes]:
    """Those of these buckets that belong to a collected batch.

    Args:
        tx: a transaction.
        record: the task.
        ids: bucket identifiers.
    """
    if not ids:
        return set()
    distinct = sorted(set(ids))
    if record.task.batch_mode is BatchMode.LEADER_SELECTED:
        chosen = or_(*(collected.c.batch == bucket for bucket in distinct))
        return set(tx.execute(select(collected.c.batch).where(collected.c.task == record.key, chosen)).scalars())
    starts = {int.from_bytes(bucket, "big"): bucket for bucket in distinct}
    return {starts[start] for start in _find_intervals(tx, _COLLECTED, record, starts)}


def list_closed_buckets(tx: Tx, record: TaskRecord, starts: Collection[int]) -> dict[int, Interval]:
    """Those of these buckets that take no more reports, with the interval that is collected or was.

    Args:
        tx: a transaction.
        record: the task, by time.
        starts: the start of each bucket, in time_precision.
    """
    if not starts:
        return {}
    return _find_intervals(tx, _CLOSED, record, starts)


def _find_intervals(tx: Tx, near: Executable, record: TaskRecord, starts: Collection[int]) -> dict[int, Interval]:
    """Of each start, an interval that has it; those that none has are left out."""
    rows = tx.execute(near, {"key": record.key, "first": min(starts), "last": max(starts)}).all()
    intervals = [Interval(row.start, row.end - row.start) for row in sorted(rows, key=attrgetter("start"))]
    begun = [interval.start for interval in intervals]
    longest = list(accumulate(intervals, _last_to_end))
    found = {}
    for start in starts:
        i = bisect_right(begun, start)
        if i and start < longest[i - 1].end:  # of those that have begun by then, the last to end
            found[start] = longest[i - 1]
    return found


def _last_to_end(one: Interval, other: Interval) -> Interval:
    return one if one.end >= other.end else other


def xor(a: bytes, b: bytes) -> bytes:
    """The bitwise XOR of two strings of bytes.

    Args:
        a: any number of bytes.
        b: as many.
    """
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def _place(record: TaskRecord, bucket: bytes) -> bytes:
    return b"bucket" + record.task.id + bucket
