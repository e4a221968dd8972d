"""What Leader and Helper do alike for a collection: check the request, and release a batch's aggregate share once."""

import logging
from hashlib import sha256

from ...dp import Place
from ...errors import RemoteProtocolError, SecAggError
from ...http.base64url import base64url
from ..hpke import seal
from ..messages import BatchSelector, CollectionJobReq, HpkeCiphertext, Interval, increasing
from ..privacy.extension import affords, collections_allowed
from ..privacy.noise import add_noise, noise_secret
from ..problems import DapProblem
from ..store import buckets, collections
from ..store.buckets import Batch
from ..store.engine import Store, Tx
from ..store.journal import Entry
from ..store.tasks import TaskRecord
from ..task import Task, time_text

log = logging.getLogger(__name__)

BUDGET_SPENT = "urn:secagg:dap:error:budgetSpent"  # a problem's type


def check_request(task: Task, request: CollectionJobReq, *, unlike_jobs: str | None = None) -> None:
    """Check what needs no batch in a CollectionJobReq (sections 4.6.1 and 4.6.2).

    Args:
        task: of the request.
        request: the Collector's.
        unlike_jobs: the problem's type where the aggregation parameter is none of the VDAF's: the Helper, which asks
            whether it is that of the aggregation jobs, has another (section 4.6.4). None for the dialect's own.

    Raises:
        DapProblem: invalidMessage, invalidAggregationParameter, invalidExtension or unsupportedExtension.
    """
    mode = task.batch_mode
    _require(request.query.batch_mode is mode, task, "invalidMessage", f"this task's batch mode is {mode.name.lower()}")
    kind = unlike_jobs or task.dialect.resources.unlike_agg_param
    _require(not request.agg_param, task, kind, "Prio3's aggregation parameter must be empty")
    ordered = increasing(request.extensions)
    _require(ordered, task, "invalidExtension", "extensions must be in strictly increasing order of their type")
    unknown = [extension.extension_type for extension in request.extensions]
    if unknown:
        raise DapProblem(
            "unsupportedExtension",
            f"collection job extensions {unknown} are not supported",
            task_id=task.id,
            unsupported_extensions=unknown,
        )


def batch_interval(task: Task, config: bytes) -> Interval:
    """The interval of a query or a batch selector, in a task by time (section 5.1).

    Args:
        task: of the request.
        config: the encoded Interval, as messages state it.

    Raises:
        DapProblem: invalidMessage, or batchInvalid if the interval has no bucket, or a part of one.
    """
    try:
        stated = Interval.decode(config)
    except RemoteProtocolError as error:
        raise DapProblem("invalidMessage", f"batch interval: {error}", task_id=task.id) from None
    try:
        interval = task.interval_of_wire(stated)
    except RemoteProtocolError as error:
        raise DapProblem("batchInvalid", str(error), task_id=task.id) from None
    whole = interval.duration >= 1 and interval.end < 1 << 63
    _require(whole, task, "batchInvalid", "a batch interval must last at least one time_precision, and end before 2^63")
    return interval


def batch_name(batch: Interval | bytes) -> bytes:
    """What a batch is called in the store and in the journal.

    Args:
        batch: its interval or its ID.
    """
    return batch if isinstance(batch, bytes) else batch.encode()


def batch_selector(task: Task, batch: Interval | bytes) -> BatchSelector:
    """How messages name a batch.

    Args:
        task: of the batch.
        batch: its interval or its ID.
    """
    config = batch if isinstance(batch, bytes) else task.interval_to_wire(batch).encode()
    return BatchSelector(task.batch_mode, config)


def release(
    tx: Tx,
    record: TaskRecord,
    batch: Interval | bytes,
    request: CollectionJobReq,
    held: Batch,
    now: float,
    *,
    agreed: tuple[int, bytes] | None = None,
) -> HpkeCiphertext:
    """Collect a batch: its aggregate share, with noise, sealed to the Collector. The caller holds `lock_task` alone.

    One transaction holds the mark that the batch is collected, its cost and the answer that the caller stores. So a
    batch is released here once, and who asks again gets the stored answer. Where the transaction was lost before the
    answer was sent, or a backup is restored, the noise is the same again: it follows from the share and a key outside
    the database.

    Args:
        tx: a transaction that writes.
        record: the task.
        batch: its interval or its ID.
        request: the Collector's; the answer is bound to it.
        held: what the batch's buckets hold.
        now: POSIX seconds.
        agreed: count and checksum that the other Aggregator has for the batch; None where they are not known.

    Raises:
        DapProblem: batchOverlap, invalidBatchSize or batchMismatch, or the budget is spent.
    """
    task, role = record.task, record.secrets.role

    # Section 4.6.4: batchOverlap, if any of the batch buckets was collected before.
    if buckets.overlaps_collected(tx, record, batch):
        raise DapProblem("batchOverlap", "some of this batch was collected before", task_id=task.id)

    # invalidBatchSize, if there are fewer reports than the minimum, or more than the field has room for.
    _require(held.count >= task.min_batch_size, task, "invalidBatchSize", too_small(task, held.count))
    _require(held.count <= task.max_batch_size, task, "invalidBatchSize", too_large(task, held.count))

    # batchMismatch, unless report count and checksum are the other Aggregator's.
    if agreed is not None and agreed != (held.count, held.checksum):
        theirs = f"{agreed[0]:,} reports" if agreed[0] != held.count else "as many reports, but others"
        detail = f"this Aggregator has {held.count:,} reports in the batch, the other one {theirs}"
        raise DapProblem("batchMismatch", detail, task_id=task.id)

    # Add the noise, which key, task, batch and share determine. The journal refuses any other share of these buckets.
    name = batch_name(batch)
    share = _noised(tx, task, name, held.share)
    digest = sha256(share).digest()  # differs for other reports, and for other noise on the same ones
    if tx.journal is not None and not tx.journal.allows(task.id, Entry(name, digest)):
        detail = "some of this batch was collected before this Aggregator's database was restored from a backup"
        raise DapProblem("batchOverlap", detail, task_id=task.id)

    # Spend the budget: the entry in the ledger belongs to the caller's transaction, as do mark and sealed share.
    check_budget(tx, record)
    if task.privacy is not None:
        collections.add_release(tx, record, name, now)

    # Mark the buckets as collected, and encrypt the aggregate share to the Collector (section 4.6.7).
    buckets.mark_collected(tx, record, batch, digest)
    aad = task.agg_share_aad(request, batch_selector(task, batch))
    enc, payload = seal(record.secrets.collector_config.public_key, task.agg_share_info(role), aad, share)
    return HpkeCiphertext(record.secrets.collector_config.id, enc, payload)


def check_budget(tx: Tx, record: TaskRecord) -> None:
    """Check that the budget allows one more collection, in a task that has one.

    Args:
        tx: a transaction.
        record: the task.

    Raises:
        DapProblem: it is spent.
    """
    task = record.task
    if task.privacy is not None and not affords(task.privacy, task.privacy.plan(task.vdaf), spent(tx, record)):
        raise DapProblem(BUDGET_SPENT, "the task's privacy budget allows no more collections", task_id=task.id)


def spent(tx: Tx, record: TaskRecord) -> int:
    """How many of the task's batches were released, by the ledger; by the journal if the ledger was set back.

    Args:
        tx: a transaction.
        record: the task.
    """
    known = 0 if tx.journal is None else tx.journal.count(record.task.id)
    return max(known, collections.count_releases(tx, record))


def collections_left(tx: Tx, record: TaskRecord) -> int | None:
    """How many more collections the budget of a task allows; None if it has no noise.

    Args:
        tx: a transaction.
        record: the task.
    """
    if record.task.privacy is None:
        return None
    return max(0, collections_allowed(record.task.privacy, record.task.vdaf) - spent(tx, record))


def log_release(store: Store, record: TaskRecord, batch: Interval | bytes, count: int) -> None:
    """Say that a batch was released here, and what is left of the budget. Call this once the release is committed: it
    does not fail.

    Args:
        store: of this Aggregator.
        record: the task.
        batch: its interval or its ID.
        count: the number of its reports.
    """
    task, privacy = record.task, record.task.privacy
    noise = "exact"
    if privacy is not None:
        by_us = privacy.place is Place.AGGREGATORS
        noise = f"{'with our noise' if by_us else 'randomized by Clients'}, {privacy.mechanism}, {privacy.budget}"
    log.info("task %s: batch %s was released: %d reports, %s", task.text, _batch_text(task, batch), count, noise)
    if privacy is not None:
        try:
            with store.read() as tx:
                used, left = spent(tx, record), collections_left(tx, record)
        except (SecAggError, OSError) as error:  # of the database or the journal
            log.warning("task %s: what is left of its budget is not known: %s", task.text, error)
            return
        level = logging.INFO if left else logging.WARNING
        log.log(level, "task %s: %d collections of its budget are spent, %d are left", task.text, used, left)


def _batch_text(task: Task, batch: Interval | bytes) -> str:
    if isinstance(batch, bytes):
        return base64url(batch)
    return "/".join(time_text(at * task.time_precision) for at in (batch.start, batch.end))


def journal_release(store: Store, record: TaskRecord, batch: bytes) -> None:
    """Enter into the journal that a collected batch's share is about to leave. Call this each time before it leaves.

    Args:
        store: of this Aggregator.
        record: the task.
        batch: the encoded interval or the ID.
    """
    if store.journal is not None:
        with store.read() as tx:
            digest = buckets.get_collected_digest(tx, record, batch)
        store.journal.add(record.task.id, Entry(batch, digest))


def too_small(task: Task, count: int) -> str:
    """What is wrong with a batch that has too few reports, in words.

    Args:
        task: of the batch.
        count: the number of its reports.
    """
    return f"batch has {count:,} reports, needs {task.min_batch_size:,}"


def too_large(task: Task, count: int) -> str:
    """What is wrong with a batch that has too many reports, in words.

    Args:
        task: of the batch.
        count: the number of its reports.
    """
    advice = "; ask for a shorter interval" if task.by_time else ""
    return f"batch has {count:,} reports, and at most {task.max_batch_size:,} are sure to sum up in the field{advice}"


def _noised(tx: Tx, task: Task, batch: bytes, share: bytes) -> bytes:
    """The encoded share as it may leave: with this Aggregator's noise, if the task has noise of Aggregators."""
    if task.privacy is None or task.privacy.place is not Place.AGGREGATORS:
        return share
    secret = noise_secret(tx.vault.noise_key, task.id, batch)
    plan = task.privacy.plan(task.vdaf)
    return task.prio3.encode_agg_share(add_noise(plan, task.prio3, task.prio3.decode_agg_share(share), secret))


def _require(condition: bool, task: Task, kind: str, detail: str) -> None:
    if not condition:
        raise DapProblem(kind, detail, task_id=task.id)
