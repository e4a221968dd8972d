"""Collection jobs of the Leader (section 4.6): the Leader collects a batch, then asks the Helper for its share.

As in `leader`, each step begins with a lease and ends with one transaction.

A report that a Client was told is accepted is in the collection of its batch. So a collection by time waits for all
reports of its interval, and lest more come for ever, the interval takes none while it waits: once there are enough, the
job closes it, and uploads are refused as if the batch were collected. If the job fails after all, or is deleted before
the batch is collected, the interval takes reports again: nothing of it was released.
"""

import json
import logging
import os
from dataclasses import dataclass
from hashlib import sha256
from math import ceil

from ...errors import RemoteProtocolError
from ...http.problems import NO_TYPE
from ...shamir import RandomBytes
from ..messages import AggregateShare, AggregateShareReq, CollectionJobReq, CollectionJobResp, Interval
from ..problems import URN, DapProblem, to_document
from ..store import buckets, collections
from ..store.collections import CollectionJob
from ..store.engine import Store, Tx
from ..store.leader_jobs import find_problem
from ..store.reports import count_open_reports_in_batch, list_ready_batches
from ..store.tasks import KnownTasks, TaskRecord, lock_task
from ..task import Task
from .input_shares import SKEW
from .peer import Peer, PeerUnavailable
from .release import (
    BUDGET_SPENT,
    batch_interval,
    batch_name,
    batch_selector,
    check_budget,
    check_request,
    journal_release,
    log_release,
    release,
    too_small,
)
from .schedule import Settings

log = logging.getLogger(__name__)

COLLECTION_JOB_ID_SIZE = 16
LOOK_AGAIN = 5.0  # seconds between looks whether a batch has enough reports
_AWAITED = "the Helper's share is awaited"
MAX_COLLECTION_JOBS = 1000  # without a result, of one task: waiting or failed
_CONFLICTS = {"batchMismatch", "batchOverlap", "batchInvalid", BUDGET_SPENT}  # no retry helps


class CollectionJobs:
    """The collection jobs of every task (section 4.6).

    Args:
        store: of the Leader alone.
        peer: the Helper of each task.
        settings: how the Leader schedules its work.
        tasks: those that were loaded.
    """

    def __init__(self, store: Store, peer: Peer, settings: Settings, tasks: KnownTasks) -> None:
        self._store = store
        self._peer = peer
        self._settings = settings
        self._tasks = tasks

    def create(
        self,
        record: TaskRecord,
        body: bytes,
        now: float,
        *,
        rand: RandomBytes = os.urandom,
        chosen: bytes | None = None,
    ) -> CollectionJob:
        """Accept a CollectionJobReq (section 4.6.1); the same bytes, under the same chosen ID, find the same job.

        A job that has failed with too few reports, or for want of the Helper, starts anew.

        Args:
            record: the task.
            body: the encoded request.
            now: POSIX seconds.
            rand: randomness of a new job's ID.
            chosen: the job's ID, in a dialect in which the Collector chooses it.

        Raises:
            DapProblem: the draft does not allow the request; there is no job then. Or the chosen ID is another job's.
        """
        # Section 4.6.1: check what needs no batch.
        task, digest = record.task, sha256((chosen or b"") + body).digest()
        query = _decode_request(task, body)

        # The same bytes are the same job. The Collector may retry it if it failed for want of reports or of the Helper.
        with self._store.write() as tx:
            job = collections.find_collection_job_by_request(tx, record, digest)
            if job is not None and job.problem is not None and _may_begin_anew(job):
                collections.update_collection_job(tx, job, problem=None, due=now, attempts=0, asked=now)
                return collections.find_collection_job_by_request(tx, record, digest) or job
            if job is not None:
                return job

            # The request of a job that has its ID from the Collector must not change.
            if chosen is not None and collections.find_collection_job(tx, record, chosen) is not None:
                detail = "this ID is another collection job's: choose a new one"
                raise DapProblem(NO_TYPE, detail, status=409, task_id=task.id)

            # batchOverlap, if any of the batch buckets was collected before, but for the same batch in another job.
            if task.by_time:
                interval = batch_interval(task, query.query.config)
                again = collections.find_collected_job(tx, record, batch_name(interval)) is not None
                if not again and buckets.overlaps_collected(tx, record, interval):
                    raise DapProblem("batchOverlap", "some of this batch was collected before", task_id=task.id)

            # Bound what the Collector can store here.
            if collections.count_extra_collection_jobs(tx, record) >= MAX_COLLECTION_JOBS:
                detail = f"there are {MAX_COLLECTION_JOBS:,} collection jobs already: delete some"
                raise DapProblem(NO_TYPE, detail, status=429, task_id=task.id, retry_after=60.0)
            job_id = rand(COLLECTION_JOB_ID_SIZE) if chosen is None else chosen
            return collections.add_collection_job(tx, record, job_id, digest, body, now)

    def find(self, record: TaskRecord, job_id: bytes) -> CollectionJob:
        """The job with this ID.

        Args:
            record: the task.
            job_id: as in the job's URL.

        Raises:
            DapProblem: there is no such job.
        """
        with self._store.read() as tx:
            job = collections.find_collection_job(tx, record, job_id)
        if job is None:
            raise DapProblem(NO_TYPE, "there is no such collection job", status=404, task_id=record.task.id)
        return job

    def delete(self, record: TaskRecord, job_id: bytes) -> None:
        """Delete a job (section 4.6.3). A batch that it has collected stays collected, and its budget stays spent; an
        interval that it has closed before takes reports again.

        Args:
            record: the task.
            job_id: as in the job's URL.

        Raises:
            DapProblem: there is no such job.
        """
        job = self.find(record, job_id)
        with self._store.write() as tx:
            collections.delete_collection_job(tx, job)

    def count_reports(self, job: CollectionJob) -> int:
        """The number of reports in the batch of a job; 0 if it has collected none, or its task is deleted.

        Args:
            job: as `work` returns it.
        """
        with self._store.read() as tx:
            record = self._tasks.find(tx, job.task)
        if record is None or job.share_request is None:
            return 0
        return record.task.dialect.wire.decode_share_req(job.share_request).report_count

    def work(self, now: float) -> CollectionJob | None:
        """Drive one collection job that is due a step further.

        Args:
            now: POSIX seconds.

        Returns:
            The job as it is then; None if none is due.
        """
        # Lease the job that has been due for longest.
        with self._store.write() as tx:
            job = collections.lease_collection_job(tx, now, self._settings.lease)
            record = None if job is None else self._tasks.find(tx, job.task)
        if job is None:
            return None

        # A deleted task gives no more results.
        if record is None:
            with self._store.write() as tx:
                collections.delete_collection_job(tx, job)
            return job

        # First collect the batch here, then ask the Helper for its share (section 4.6.4).
        try:
            ready = job if job.share_request is not None else self._collect(record, job, now)
            if ready is not None and ready.share_request is not None:
                self._finish(record, ready)
        # A refusal ends the job; an unavailable Helper only delays it, for a while.
        except DapProblem as problem:
            self._fail(record, job, problem)
        except PeerUnavailable as problem:
            self._postpone(record, job, now, problem)
        with self._store.read() as tx:
            return collections.find_collection_job(tx, record, job.id) or job

    def _collect(self, record: TaskRecord, job: CollectionJob, now: float) -> CollectionJob | None:
        """Collect the batch here. Returns the job, with the request for the Helper; None if the batch is not ready."""
        # Under this lock nothing is added to the task's batches, and no other batch is released.
        task = record.task
        request = task.dialect.wire.decode_collection_req(job.request)
        with self._store.write() as tx:
            lock_task(tx, record.key, alone=True)
            current = collections.lock_collection_job(tx, job)
            if current is None or current.share_request is not None:  # another worker was faster, after our lease
                return current

            # Wait until all aggregation jobs of the batch are complete and it has enough reports (section 4.6.1).
            batch = self._ready(tx, record, current, request, now)
            if isinstance(batch, Later):
                wait = {"batch": batch.batch, "open_reports": batch.open_reports, "asked": batch.asked}
                collections.update_collection_job(tx, job, due=batch.due, waiting=batch.reason, **wait)
                return None

            # A batch that another job has collected has the same result again: nothing more is released.
            other = collections.find_collected_job(tx, record, batch_name(batch))
            if other is not None:
                collections.copy_collection(tx, job, other, waiting=_AWAITED, asked=now)
                return collections.lock_collection_job(tx, job)

            # Merge the batch buckets, and seal our own aggregate share (section 4.6.4).
            held = buckets.get_batch(tx, record, batch)
            sealed = release(tx, record, batch, request, held, now)

            # Store what the Helper will be asked, and the result as far as it goes, in the same transaction.
            agreed = AggregateShareReq(request, batch_selector(task, batch), held.count, held.checksum)
            share_request = task.dialect.wire.encode_share_req(agreed)
            interval = task.interval_to_wire(held.interval)
            response = held.count.to_bytes(8, "big") + interval.encode() + sealed.encode()
            asks = {"share_request": share_request, "response": response, "waiting": _AWAITED, "asked": now}
            first = {"batch": batch_name(batch), "attempts": 1}  # this step is the first that asks
            collections.update_collection_job(tx, job, **asks, **first)
            ready = collections.lock_collection_job(tx, job)
        log_release(self._store, record, batch, held.count)
        return ready

    def _ready(
        self, tx: Tx, record: TaskRecord, job: CollectionJob, request: CollectionJobReq, now: float
    ) -> "Interval | bytes | Later":
        """The batch to collect, or when to look again.

        Raises:
            DapProblem: there are too few reports, and no more can come; reports are not aggregated for too long; or
                the budget is spent.
        """
        # Leader-selected: the oldest ready batch whose reports are all aggregated, and enough of them verified.
        task = record.task
        if not task.by_time and request.query.config:
            return _named_batch(tx, record, request.query.config)
        if not task.by_time:
            oldest: bytes | None = None
            for batch in list_ready_batches(tx, record, now - self._settings.patience):
                if count_open_reports_in_batch(tx, record, batch):
                    oldest = oldest or batch
                elif buckets.count_reports(tx, record, batch) >= task.min_batch_size:
                    return batch
            if oldest is not None:
                return self._await_reports(tx, record, job, oldest, now)
            return Later(now + 1.0, f"no batch has {task.min_batch_size:,} reports yet that are aggregated")

        # By time. An overlap is also returned, so that `release` states it.
        interval = batch_interval(task, request.query.config)
        if buckets.overlaps_collected(tx, record, interval):
            return interval

        # Enough verified reports; once the interval is over, those that may yet be verified count, too. It takes no
        # more, and the aggregation jobs that overlap it are completed first (section 4.6.1).
        count, waiting = buckets.count_reports(tx, record, interval), count_open_reports_in_batch(tx, record, interval)
        end = interval.end * task.time_precision
        over = end + SKEW
        if waiting and (count if now < over else count + waiting) >= task.min_batch_size:
            check_budget(tx, record)  # or it would take no reports while it waits for a refusal
            collections.close_interval(tx, job, interval)
            return self._await_reports(tx, record, job, interval, now)
        if count >= task.min_batch_size:
            return interval

        # Too few: wait while more may come, then fail with invalidBatchSize.
        if now >= over:
            detail = f"{too_small(task, count + waiting)}; its interval is over, so ask for a longer one"
            raise DapProblem("invalidBatchSize", detail, task_id=task.id)
        if waiting:
            return Later(now + 0.25, _not_aggregated(tx, record, interval, waiting))
        still = f"newest interval still open, for {ceil(end - now):,} s" if now < end else "its interval has just ended"
        return Later(min(over, now + LOOK_AGAIN), f"{too_small(task, count)}; {still}")

    def _await_reports(
        self, tx: Tx, record: TaskRecord, job: CollectionJob, batch: Interval | bytes, now: float
    ) -> "Later":
        """Wait until the last reports of a batch are aggregated, but not if none was for too long."""
        waiting = count_open_reports_in_batch(tx, record, batch)
        reason = _not_aggregated(tx, record, batch, waiting)
        chosen = batch if isinstance(batch, bytes) else None
        same = (job.batch, job.open_reports) == (chosen, waiting)
        asked = job.asked if same and job.asked is not None else now
        if now - asked >= self._settings.give_up:
            detail = f"for {now - asked:,.0f} s {reason}; ask again with the same query"
            raise DapProblem(NO_TYPE, detail, task_id=record.task.id)
        return Later(now + 0.25, reason, chosen, waiting, asked)

    def _finish(self, record: TaskRecord, job: CollectionJob) -> None:
        """Obtain the Helper's share, and store the result."""
        assert job.share_request is not None
        assert job.response is not None

        # Obtain the Helper's aggregate share (section 4.6.4), at once or by asking for it later (section 3.1). If it is
        # refused, the Collector is told why.
        try:
            if job.share_location is None:
                answer = self._peer.create_share(record, job.share_request)
            else:
                answer = self._peer.poll_share(record, job.share_location)
        except DapProblem as problem:
            raise _refused(record.task, problem) from None
        if answer.body is None:
            with self._store.write() as tx:
                collections.update_collection_job(tx, job, share_location=answer.location)
            raise ShareNotReady(answer.retry_after)
        try:
            share = AggregateShare.decode(answer.body)
        except RemoteProtocolError as error:
            raise PeerUnavailable(f"the Helper's answer is not an aggregate share: {error}") from None

        # Complete the CollectionJobResp.
        wire = record.task.dialect.wire
        selector = wire.decode_share_req(job.share_request).batch_selector
        result = CollectionJobResp.decode(job.response + share.encrypted_aggregate_share.encode())
        response = wire.encode_collection(result, selector)

        # Enter the release into the journal before the Collector can get it, then store it.
        by_time, config = record.task.by_time, selector.config
        journal_release(self._store, record, batch_name(batch_interval(record.task, config) if by_time else config))
        with self._store.write() as tx:
            if collections.lock_collection_job(tx, job) is not None:
                collections.update_collection_job(tx, job, response=response, finished=True, due=None)

    def _postpone(self, record: TaskRecord, job: CollectionJob, now: float, problem: PeerUnavailable) -> None:
        """Ask the Helper again later, or fail if it was asked for too long."""
        with self._store.write() as tx:
            current = collections.lock_collection_job(tx, job)
            if current is None:
                return
            delay = self._settings.delay(max(0, current.attempts - 1), problem.retry_after)
            asked = now if current.asked is None else current.asked  # None in stores of older versions
            asked_for = now - asked
            reason = str(problem)
            if problem.kind == "resting":  # what it rests for tells more
                reason = (current.waiting or "").removeprefix(_AWAITED).removeprefix(": ") or reason
            if asked_for < self._settings.give_up:
                due = min(now + delay, asked + self._settings.give_up)  # however long the Helper wants to be left alone
                collections.update_collection_job(tx, job, due=due, asked=asked, waiting=f"{_AWAITED}: {reason}")
        if asked_for >= self._settings.give_up:
            detail = f"the Helper has given no share for {asked_for:,.0f} s: {reason}; ask again with the same query"
            self._fail(record, job, DapProblem(NO_TYPE, detail, task_id=record.task.id))
        elif not isinstance(problem, ShareNotReady):
            log.warning("%s: %s; attempt %d, the next in %.0f s", _named(record), problem, current.attempts, delay)

    def _fail(self, record: TaskRecord, job: CollectionJob, problem: DapProblem) -> None:
        """End the job with the problem that the Collector is told (section 4.6.1)."""
        with self._store.write() as tx:
            if collections.lock_collection_job(tx, job) is None:
                return
            collections.fail_collection_job(tx, job, to_document(problem).decode())
        log.warning("%s has failed: %s", _named(record), problem)


class ShareNotReady(PeerUnavailable):
    """The Helper works on its share.

    Args:
        retry_after: the seconds that it asks for.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__("the Helper is not ready", retry_after)


@dataclass(frozen=True)
class Later:
    """A batch that is not ready.

    Attributes:
        due: when to look again, in POSIX seconds.
        reason: what the batch waits for, for the Collector.
        batch: its ID, in leader-selected mode, while only its last reports are awaited.
        open_reports: how many these are.
        asked: since when there are so many, in POSIX seconds.
    """

    due: float
    reason: str
    batch: bytes | None = None
    open_reports: int | None = None
    asked: float | None = None


def _decode_request(task: Task, body: bytes) -> CollectionJobReq:
    try:
        request = task.dialect.wire.decode_collection_req(body)
    except RemoteProtocolError as error:
        raise DapProblem("invalidMessage", str(error), task_id=task.id) from None
    check_request(task, request)
    if task.by_time:
        batch_interval(task, request.query.config)
    elif request.query.config and not task.dialect.resources.by_batch_id:
        raise DapProblem("invalidMessage", "a leader-selected query must be empty", task_id=task.id)
    return request


def _named_batch(tx: Tx, record: TaskRecord, batch: bytes) -> bytes:
    """The batch that a query names by its ID: only one that a collection job has had before."""
    if collections.find_collected_job(tx, record, batch) is None:
        collected = buckets.overlaps_collected(tx, record, batch)
        kind, detail = "batchInvalid", "no collection job had a batch with this ID"
        if collected:
            kind, detail = "batchOverlap", "this batch was collected, and its job was deleted"
        raise DapProblem(kind, detail, task_id=record.task.id)
    return batch


def _may_begin_anew(job: CollectionJob) -> bool:
    """Whether the same request begins a failed job anew: for want of reports, or of the Helper unless they disagree."""
    kind = str(json.loads(job.problem or "{}").get("type", "")).removeprefix(URN)
    return kind in ("invalidBatchSize", NO_TYPE) or (job.share_request is not None and kind not in _CONFLICTS)


def _not_aggregated(tx: Tx, record: TaskRecord, batch: Interval | bytes, count: int) -> str:
    """What a collection waits for, in words; and what the Helper says, if it does not take them."""
    problem = find_problem(tx, record, batch)
    return f"{count:,} reports of the batch are not aggregated yet{f': {problem}' if problem else ''}"


def _refused(task: Task, problem: DapProblem) -> DapProblem:
    """What the Collector is told of the Helper's refusal. The status is ours: the Helper's may be about our token, and
    the Collector would look for its own."""
    detail = f"the Helper refuses its share: {problem.detail or problem.type} (HTTP {problem.status})"
    return DapProblem(problem.type, detail, task_id=task.id, **problem.members)


def _named(record: TaskRecord) -> str:
    return f"a collection job of task {record.task.text} (Helper {record.task.helper_url})"
