"""The Leader (sections 4.4 to 4.6): no sockets and no clock in here, but a store, and the Helper behind `Peer`.

Each step begins with a lease and ends with one transaction. In between the work is the same whoever does it: a request
to the Helper is made from stored reports alone, so that after a crash the same bytes go out again and the Helper
answers what it answered before.
"""

import json
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil

from ..errors import RemoteProtocolError
from ..shamir import RandomBytes
from ..vdaf import VerifyStates
from .aggregator import (
    BUDGET_SPENT,
    SKEW,
    Opened,
    ReportToOpen,
    batch_interval,
    check_metadata,
    check_request,
    open_shares,
    record_release,
    release,
    too_small,
)
from .hpke import PrivateKey
from .messages import (
    LEADER_SELECTED_BATCH_ID,
    AggregateShare,
    AggregateShareReq,
    AggregationJobExtension,
    AggregationJobInitReq,
    AggregationJobResp,
    BatchSelector,
    CollectionJobReq,
    Interval,
    Report,
    ReportError,
    Role,
    VerifyInit,
)
from .peer import Answer, Peer, PeerUnavailable
from .problems import NO_TYPE, DapProblem, to_document
from .reports import has_size
from .store import buckets, releases, uploads
from .store.buckets import Outputs
from .store.engine import Store, Tx
from .store.releases import CollectionJob
from .store.tasks import AggregatorTask, KnownTasks, lock_task
from .store.uploads import Job, Upload
from .task import Task, report_share

COLLECTION_JOB_ID_SIZE = 16
MOST_COLLECTION_JOBS = 1000  # of a task that have no result: waiting, or failed
LOOK_AGAIN = 5.0  # seconds between looks whether a batch has enough reports
_JOB_BYTES = 1 << 25  # of the shares of an aggregation job
_CONFLICTS = {"batchMismatch", "batchOverlap", "batchInvalid", "invalidBatchSize", BUDGET_SPENT}  # which no retry mends


@dataclass(frozen=True)
class Settings:
    """How the Leader schedules its work.

    Attributes:
        job_size: reports in an aggregation job, at most.
        lease: seconds after which work that somebody does is taken for lost.
        backoff: seconds before a failed step is tried again, at most; the first time after 1, then twice as many.
        patience: seconds after which a batch that the Leader selects is released although it is not full, if it is
            large enough.
    """

    job_size: int = 500
    lease: float = 120.0
    backoff: float = 60.0
    patience: float = 60.0

    def size(self, task: Task) -> int:
        """Reports in a job of this task: fewer than `job_size` where their shares are long, which are in memory at
        once."""
        return max(1, min(self.job_size, _JOB_BYTES // (task.prio3.LEADER_SHARE_SIZE + task.prio3.OUT_SHARE_SIZE)))

    def delay(self, attempts: int, problem: "DapProblem | PeerUnavailable") -> float:
        """Seconds until a step that failed is tried again."""
        return problem.retry_after or min(self.backoff, 2.0 ** min(attempts, 62))


class Leader:
    """The Leader's part of every task.

    Args:
        store: of this Aggregator alone.
        peer: the Helper of each task.
        settings: see there.
    """

    def __init__(self, store: Store, peer: Peer, settings: Settings | None = None) -> None:
        self.store = store
        self.settings = settings or Settings()
        self._peer = peer
        self._tasks = KnownTasks()

    # Uploads.

    def check_upload(
        self, task: Task, accepted: Container[int], reports: Sequence[Report], now: float
    ) -> dict[int, ReportError]:
        """Which reports are refused before anything is stored, by position.

        Args:
            accepted: numbers of the HPKE configurations that may be used now.
        """
        errors = {}
        for i, report in enumerate(reports):
            error = check_metadata(task, report.report_metadata, now + SKEW)
            if error in (ReportError.TASK_NOT_STARTED, ReportError.TASK_EXPIRED):
                error = ReportError.REPORT_DROPPED  # section 4.4.2.2
            if error is None and report.leader_encrypted_input_share.config_id not in accepted:
                error = ReportError.OUTDATED_CONFIG
            if error is None and not has_size(task, report):
                error = ReportError.INVALID_MESSAGE  # nothing that anybody could fill the disk with
            if error is not None:
                errors[i] = error
        return errors

    def keep(self, mine: AggregatorTask, reports: Sequence[Report]) -> list[bool]:
        """Store reports; which of them, as the others' batch is collected. Once it returns they are on disk."""
        with self.store.write() as tx:
            return uploads.add_reports(tx, mine, [upload_of(mine.task, report) for report in reports])

    # Aggregation jobs.

    def create_jobs(self, now: float, *, least: int = 1) -> int:
        """Put waiting reports into aggregation jobs of `least` reports or more; how many reports."""
        with self.store.read() as tx:
            tasks = [mine for key in uploads.tasks_waiting(tx) if (mine := self._tasks.get(tx, key)) is not None]
        total = 0
        for mine in tasks:
            size = self.settings.size(mine.task)
            while True:
                with self.store.write() as tx:
                    count = uploads.create_job(tx, mine, size, now, least=min(least, size))
                total += count
                if count == 0:
                    break
        return total

    def work_job(self, keys: Mapping[int, PrivateKey], now: float) -> "JobDone | None":
        """Drive one aggregation job that is due a step further; None if none is."""
        with self.store.write() as tx:
            job = uploads.lease_job(tx, now, self.settings.lease)
            if job is None:
                return None
            mine = self._tasks.get(tx, job.task)
            bodies = uploads.job_bodies(tx, job)
        if mine is None:
            with self.store.write() as tx:
                uploads.end_job(tx, job, rejected=0)
            return JobDone(0, {})
        try:
            return self._aggregate(mine, keys, job, [Report.decode(body) for body in bodies], now)
        except (DapProblem, PeerUnavailable) as problem:
            self._postpone(job, now, problem)
            return JobDone(0, {}, problem)

    def _aggregate(
        self, mine: AggregatorTask, keys: Mapping[int, PrivateKey], job: Job, reports: list[Report], now: float
    ) -> "JobDone":
        task = mine.task
        to_open = [ReportToOpen(r.report_metadata, r.public_share, r.leader_encrypted_input_share) for r in reports]
        opened = open_shares(task, Role.LEADER, keys, to_open, latest=None)
        states, outbound = task.ping_pong.leader_init(
            mine.secrets.verify_key, task.ctx, opened.report_ids, opened.public_shares, opened.input_shares
        )
        sent = [row for row in range(len(opened.positions)) if row not in outbound.rejected]
        inits = [VerifyInit(report_share(reports[opened.positions[row]]), outbound[row]) for row in sent]
        errors = {**opened.errors, **{opened.positions[row]: _INVALID for row in outbound.rejected}}
        payloads: list[bytes] = [b""] * len(opened.positions)
        location = ""
        if inits:
            answer = self._ask(mine, job, inits)
            if answer.body is None:
                with self.store.write() as tx:
                    uploads.postpone_job(tx, job, now + answer.retry_after, answer.location)
                return JobDone(0, {})
            outcomes, location = self._outcomes(mine, job, answer, inits), answer.location
            for row, outcome in zip(sent, outcomes, strict=True):
                if isinstance(outcome, bytes):
                    payloads[row] = outcome
                else:
                    errors[opened.positions[row]] = outcome
        done = self._commit(mine, job, opened, states, payloads, errors, now)
        if inits and done.early == len(inits):  # else the Helper would answer the same request as it did
            self._peer.delete_job(mine, location)
        return done

    def _ask(self, mine: AggregatorTask, job: Job, inits: list[VerifyInit]) -> Answer:
        if job.resource is not None:
            return self._peer.poll_job(mine, job.resource)
        batch = () if job.batch is None else (AggregationJobExtension(LEADER_SELECTED_BATCH_ID, job.batch),)
        return self._peer.create_job(mine, AggregationJobInitReq(0, b"", batch, tuple(inits)).encode())

    def _outcomes(
        self, mine: AggregatorTask, job: Job, answer: Answer, inits: list[VerifyInit]
    ) -> list[bytes | ReportError]:
        """The Helper's word on each report that was sent to it. An answer that is none abandons the job."""
        outcomes: list[bytes | ReportError] = []
        wanted = [init.report_share.report_metadata.report_id for init in inits]
        try:
            resps = AggregationJobResp.decode(answer.body or b"").verify_resps
            if [resp.report_id for resp in resps] != wanted:
                raise RemoteProtocolError("other reports than were sent, or in another order")
            for resp in resps:
                if resp.outcome is None:
                    raise RemoteProtocolError("a report that is finished too early")
                outcomes.append(resp.outcome)
        except RemoteProtocolError as error:
            with self.store.write() as tx:
                uploads.abandon_job(tx, job)
            self._peer.delete_job(mine, answer.location)
            raise PeerUnavailable(f"the Helper's answer to an aggregation job is wrong: {error}") from None
        return outcomes

    def _commit(
        self,
        mine: AggregatorTask,
        job: Job,
        opened: Opened,
        states: VerifyStates,
        payloads: list[bytes],
        errors: dict[int, ReportError],
        now: float,
    ) -> "JobDone":
        """End the job. What is too early by the Helper's clock waits in another one (section 4.5.2.1)."""
        early = sorted(i for i, error in errors.items() if error is ReportError.REPORT_TOO_EARLY)
        out_shares = mine.task.ping_pong.leader_continued(states, payloads)
        for row in out_shares.rejected:
            errors.setdefault(opened.positions[row], _INVALID)
        outputs = Outputs(opened.report_ids, opened.times, job.batch, out_shares)
        with self.store.write() as tx:
            if early:
                uploads.split_job(tx, job, early, now + self.settings.backoff)
            if not uploads.end_job(tx, job, rejected=len(errors) - len(early)):
                return JobDone(0, {})
            late = buckets.commit(tx, mine, outputs, replays=False)
        errors.update((opened.positions[row], error) for row, error in late.items() if row not in out_shares.rejected)
        aggregated = len(opened.positions) + len(opened.errors) - len(errors)
        return JobDone(aggregated, {i: errors[i] for i in errors if i not in early}, early=len(early))

    def _postpone(self, job: Job, now: float, problem: DapProblem | PeerUnavailable) -> None:
        delay = self.settings.delay(job.attempts, problem)
        with self.store.write() as tx:
            uploads.postpone_job(tx, job, now + delay, None)

    # Collection jobs.

    def create_collection(
        self, mine: AggregatorTask, body: bytes, now: float, *, rand: RandomBytes = os.urandom
    ) -> CollectionJob:
        """Take a CollectionJobReq; the same bytes find the same job, and one that had too few reports starts anew.

        Raises:
            DapProblem: the request is not what the draft allows; there is no job then.
        """
        task, digest = mine.task, sha256(body).digest()
        query = _decode_request(task, body)
        with self.store.write() as tx:
            job = releases.find_collection_request(tx, mine, digest)
            if job is not None and job.problem is not None and _retryable(job.problem):
                releases.change_collection_job(tx, job, problem=None, due=now, attempts=0)
                return releases.find_collection_request(tx, mine, digest) or job
            if job is not None:
                return job
            if task.by_time and buckets.overlaps_collected(tx, mine, batch_interval(task, query.query.config)):
                raise DapProblem("batchOverlap", "some of this batch was collected before", task_id=task.id)
            if releases.collection_jobs_kept(tx, mine) >= MOST_COLLECTION_JOBS:
                detail = f"there are {MOST_COLLECTION_JOBS:,} collection jobs already: delete some"
                raise DapProblem(NO_TYPE, detail, status=429, task_id=task.id, retry_after=60.0)
            return releases.add_collection_job(tx, mine, rand(COLLECTION_JOB_ID_SIZE), digest, body, now)

    def find_collection(self, mine: AggregatorTask, job_id: bytes) -> CollectionJob:
        """Raises DapProblem if there is none."""
        with self.store.read() as tx:
            job = releases.find_collection_job(tx, mine, job_id)
        if job is None:
            raise DapProblem(NO_TYPE, "there is no such collection job", status=404, task_id=mine.task.id)
        return job

    def delete_collection(self, mine: AggregatorTask, job_id: bytes) -> None:
        """Forget the job. A batch that it has collected stays collected and paid for."""
        job = self.find_collection(mine, job_id)
        with self.store.write() as tx:
            releases.delete_collection_job(tx, job)

    def work_collection(self, now: float) -> CollectionJob | None:
        """Drive one collection job that is due a step further: the job as it is then; None if none is due."""
        with self.store.write() as tx:
            job = releases.lease_collection_job(tx, now, self.settings.lease)
            mine = None if job is None else self._tasks.get(tx, job.task)
        if job is None:
            return None
        if mine is None:
            with self.store.write() as tx:
                releases.delete_collection_job(tx, job)
            return job
        try:
            ready = job if job.share_request is not None else self._collect(mine, job, now)
            if ready is not None and ready.share_request is not None:
                self._finish(mine, ready)
        except DapProblem as problem:
            self._fail(job, now, problem)
        except PeerUnavailable as problem:
            delay = self.settings.delay(job.attempts, problem)
            with self.store.write() as tx:
                if releases.lock_collection_job(tx, job) is not None:
                    releases.change_collection_job(tx, job, due=now + delay)
        with self.store.read() as tx:
            return releases.find_collection_job(tx, mine, job.id) or job

    def _collect(self, mine: AggregatorTask, job: CollectionJob, now: float) -> CollectionJob | None:
        """Collect the batch here: the job with what the Helper is asked; None if the batch is not ready."""
        request = CollectionJobReq.decode(job.request)
        with self.store.write() as tx:
            lock_task(tx, mine.key, alone=True)
            current = releases.lock_collection_job(tx, job)
            if current is None or current.share_request is not None:  # another worker was faster, after our lease
                return current
            batch = self._ready(tx, mine, request, now)
            if isinstance(batch, Later):
                releases.change_collection_job(tx, job, due=batch.due, waiting=batch.reason)
                return None
            held = buckets.merged(tx, mine, batch)
            sealed = release(tx, mine, batch, request, held, now)
            config = batch if isinstance(batch, bytes) else batch.encode()
            selector = BatchSelector(mine.task.batch_mode, config)
            share_request = AggregateShareReq(request, selector, held.count, held.checksum).encode()
            response = held.count.to_bytes(8, "big") + held.interval.encode() + sealed.encode()
            changed = {"share_request": share_request, "response": response, "waiting": "the Helper's share is awaited"}
            releases.change_collection_job(tx, job, **changed)
            return releases.lock_collection_job(tx, job)

    def _ready(self, tx: Tx, mine: AggregatorTask, request: CollectionJobReq, now: float) -> "Interval | bytes | Later":
        """The batch to collect, or when to look again.

        Raises:
            DapProblem: too few reports, and no more can come.
        """
        task = mine.task
        if not task.by_time:
            selected = uploads.ready_batches(tx, mine, now - self.settings.patience)
            done = (batch for batch in selected if not uploads.pending(tx, mine, batch))
            ready = next((batch for batch in done if buckets.count_of(tx, mine, batch) >= task.min_batch_size), None)
            reason = f"no batch has {task.min_batch_size:,} reports yet that are aggregated"
            return Later(now + 1.0, reason) if ready is None else ready
        interval = batch_interval(task, request.query.config)
        waiting = uploads.pending(tx, mine, interval)
        if waiting:
            return Later(now + 0.25, f"{waiting:,} reports of the batch are not aggregated yet")
        count = buckets.count_of(tx, mine, interval)
        if count >= task.min_batch_size or buckets.overlaps_collected(tx, mine, interval):
            return interval
        end = interval.end * task.time_precision
        over = end + SKEW
        if now >= over:
            detail = f"{too_small(task, count)}; its interval is over, so ask for a longer one"
            raise DapProblem("invalidBatchSize", detail, task_id=task.id)
        still = f"newest interval still open, for {ceil(end - now):,} s" if now < end else "its interval has just ended"
        return Later(min(over, now + LOOK_AGAIN), f"{too_small(task, count)}; {still}")

    def _finish(self, mine: AggregatorTask, job: CollectionJob) -> None:
        """Get the Helper's share, and with it the result that is kept."""
        assert job.share_request is not None
        assert job.response is not None
        answer = self._peer.create_share(mine, job.share_request)
        if answer.body is None:
            raise PeerUnavailable("the Helper is not ready", answer.retry_after)
        try:
            share = AggregateShare.decode(answer.body)
        except RemoteProtocolError as error:
            raise PeerUnavailable(f"the Helper's answer is no aggregate share: {error}") from None
        response = job.response + share.encrypted_aggregate_share.encode()
        record_release(self.store, mine, AggregateShareReq.decode(job.share_request).batch_selector.config)
        with self.store.write() as tx:
            if releases.lock_collection_job(tx, job) is not None:
                releases.change_collection_job(tx, job, response=response, finished=True, due=None)

    def _fail(self, job: CollectionJob, now: float, problem: DapProblem) -> None:
        """End the job with what the Collector shall be told; what the Helper may yet mend is tried again."""
        with self.store.write() as tx:
            released = releases.lock_collection_job(tx, job)
            if released is None:
                return
            if released.share_request is not None and problem.type not in _CONFLICTS:
                delay = self.settings.delay(job.attempts, problem)
                releases.change_collection_job(tx, job, due=now + delay)
                return
            releases.change_collection_job(tx, job, problem=to_document(problem).decode(), due=None)


@dataclass(frozen=True, repr=False)
class JobDone:
    """What became of a job's reports.

    Attributes:
        aggregated: how many were added to batches.
        errors: why the others were not, by position.
        problem: what keeps the job from going on.
        early: how many wait for the Helper's clock.
    """

    aggregated: int
    errors: Mapping[int, ReportError]
    problem: DapProblem | PeerUnavailable | None = None
    early: int = 0


@dataclass(frozen=True)
class Later:
    """A batch that is not ready.

    Attributes:
        due: when to look again.
        reason: what it waits for, for the Collector.
    """

    due: float
    reason: str


_INVALID = ReportError.VDAF_VERIFY_ERROR


def upload_of(task: Task, report: Report) -> Upload:
    metadata = report.report_metadata
    return Upload(metadata.report_id, task.precision_time(metadata.time), report.encode())


def _decode_request(task: Task, body: bytes) -> CollectionJobReq:
    try:
        request = CollectionJobReq.decode(body)
    except RemoteProtocolError as error:
        raise DapProblem("invalidMessage", str(error), task_id=task.id) from None
    check_request(task, request)
    if task.by_time:
        batch_interval(task, request.query.config)
    elif request.query.config:
        raise DapProblem("invalidMessage", "a leader-selected query is empty", task_id=task.id)
    return request


def _retryable(problem: str) -> bool:
    return str(json.loads(problem).get("type", "")).endswith(":invalidBatchSize")
