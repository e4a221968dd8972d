"""The Leader (sections 4.4 and 4.5): it has a store, and the Helper behind `Peer`, but no sockets and no clock.

Each step begins with a lease and ends with one transaction. The work in between is the same whoever does it: a request
to the Helper is made from stored reports alone. So after a crash the same bytes go out again, and the Helper answers as
it did before.
"""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from ...errors import RemoteProtocolError
from ...vdaf import VerifyStates
from ..hpke import PrivateKey
from ..messages import (
    LEADER_SELECTED_BATCH_ID,
    VERIFICATION_KEY_ID,
    AggregationJobExtension,
    AggregationJobInitReq,
    Interval,
    Report,
    ReportError,
    Role,
    VerifyInit,
)
from ..problems import DapProblem
from ..reports import has_size
from ..store import buckets
from ..store.buckets import Outputs
from ..store.engine import Store
from ..store.leader_jobs import (
    Job,
    add_job,
    end_job,
    lease_job,
    list_job_reports,
    list_waiting_tasks,
    postpone_job,
    split_job,
)
from ..store.reports import Upload, add_reports
from ..store.tasks import KnownTasks, TaskRecord
from ..task import Task, report_share
from .collection_jobs import CollectionJobs
from .helper import job_id_of
from .input_shares import SKEW, Opened, ReportToOpen, check_metadata, open_shares
from .peer import Answer, Peer, PeerUnavailable
from .peer_health import PeerHealth
from .refused_jobs import RefusedJobs, Remedy
from .schedule import Settings

log = logging.getLogger(__name__)


class Leader:
    """The Leader's part of every task.

    Args:
        store: of this Aggregator alone.
        peer: the Helper of each task.
        settings: how the Leader schedules its work; None for the defaults.
        health: of the Helpers, if `peer` is watched; jobs of Helpers that rest are left alone.

    Attributes:
        store: the same.
        settings: the same.
        collections: its collection jobs.
    """

    def __init__(
        self, store: Store, peer: Peer, settings: Settings | None = None, health: PeerHealth | None = None
    ) -> None:
        self.store = store
        self.settings = settings or Settings()
        self._peer = peer
        self._tasks = KnownTasks()
        self._health = health
        self._refused = RefusedJobs()
        self.collections = CollectionJobs(store, peer, self.settings, self._tasks)

    # Uploads.

    def check_upload(
        self, task: Task, accepted: Container[int], reports: Sequence[Report], now: float
    ) -> dict[int, ReportError]:
        """Which reports of an upload are refused before anything is stored, by position (section 4.4.2.2).

        Args:
            task: of the reports.
            accepted: the numbers of the HPKE configurations that may be used now.
            reports: of one upload.
            now: POSIX seconds.
        """
        errors, reasons = {}, task.dialect.at_upload
        for i, report in enumerate(reports):
            # Discard a report from outside the task interval, from too far in the future, or with extensions.
            error = check_metadata(task, report.report_metadata, now + SKEW, reasons)

            # An HPKE configuration that is not in use: the Client should fetch ours again.
            if error is None and report.leader_encrypted_input_share.config_id not in accepted:
                error = reasons.unknown_config
            if error is None and not has_size(task, report):
                error = ReportError.INVALID_MESSAGE  # else anybody could fill the disk
            if error is not None:
                errors[i] = error
        return errors

    def add_reports(self, record: TaskRecord, reports: Sequence[Report]) -> list[Interval | None]:
        """Store reports; once this returns, they are on disk.

        Args:
            record: the task.
            reports: those that `check_upload` does not refuse.

        Returns:
            Of each report, the batch that refuses it because it is collected or was; None if it is stored.
        """
        with self.store.write() as tx:
            return add_reports(tx, record, [upload_of(record.task, report) for report in reports])

    # Aggregation jobs.

    def create_jobs(self, now: float, *, min_reports: int = 1) -> int:
        """Put waiting reports into aggregation jobs (section 4.5.3.1).

        Args:
            now: POSIX seconds.
            min_reports: make no job of fewer reports.

        Returns:
            How many reports were put into jobs.
        """
        with self.store.read() as tx:
            tasks = [record for key in list_waiting_tasks(tx) if (record := self._tasks.find(tx, key)) is not None]
        total = 0
        for record in tasks:
            size = self.settings.size(record.task)
            while True:
                with self.store.write() as tx:
                    count = add_job(tx, record, size, now, min_reports=min(min_reports, size))
                total += count
                if count == 0:
                    break
        return total

    def work_job(self, keys: Mapping[int, PrivateKey], now: float) -> "JobDone | None":
        """Drive one aggregation job that is due a step further.

        Args:
            keys: private keys by the number of their configuration.
            now: POSIX seconds.

        Returns:
            What became of its reports; None if no job is due.
        """
        # Lease the job that has been due for longest, and read its reports in the same transaction.
        with self.store.write() as tx:
            resting = () if self._health is None else self._health.resting_tasks(tx, self._tasks)
            job = lease_job(tx, now, self.settings.lease, resting)
            if job is None:
                return None
            record = self._tasks.find(tx, job.task)
            bodies = list_job_reports(tx, job)

        # A deleted task takes no more part.
        if record is None:
            with self.store.write() as tx:
                end_job(tx, job, rejected=0)
            self._refused.forget(job.key)
            return JobDone(0, {})

        # Whatever the Helper cannot do now is tried again later, from the same stored reports.
        try:
            done = self._aggregate(record, keys, job, [Report.decode(body) for body in bodies], now)
        except _JobRefused as refused:
            done = self._remedy(record, job, len(bodies), now, refused.problem)
        except (DapProblem, PeerUnavailable) as problem:
            self._postpone(record, job, now, problem)
            done = JobDone(0, {}, problem)
        return replace(done, task=record.task)

    def _aggregate(
        self, record: TaskRecord, keys: Mapping[int, PrivateKey], job: Job, reports: list[Report], now: float
    ) -> "JobDone":
        # Section 4.5.3.1: decrypt the Leader's report shares, then check input share validity. A report that fails is
        # removed from the candidate set.
        task = record.task
        to_open = [ReportToOpen(r.report_metadata, r.public_share, r.leader_encrypted_input_share) for r in reports]
        opened = open_shares(task, Role.LEADER, keys, to_open, latest=None)

        # For each report: Vdaf.ping_pong_leader_init. A Rejected one sends the Helper no message.
        states, outbound = task.ping_pong.leader_init(
            record.secrets.verify_key, task.ctx, opened.report_ids, opened.public_shares, opened.input_shares
        )

        # The outbound messages of the others make the AggregationJobInitReq, in the order of the reports.
        sent = [row for row in range(len(opened.positions)) if row not in outbound.rejected]
        inits = [VerifyInit(report_share(reports[opened.positions[row]]), outbound[row]) for row in sent]
        errors = {**opened.errors, **{opened.positions[row]: _INVALID for row in outbound.rejected}}
        payloads: list[bytes] = [b""] * len(opened.positions)
        location = ""
        if inits:
            answer = self._ask(record, job, inits)
            # Section 3.1: the job is not ready, so the Leader polls it when the Helper says.
            if answer.body is None:
                with self.store.write() as tx:
                    postpone_job(tx, job, now + answer.retry_after, "the Helper is not ready", answer.location)
                return JobDone(0, {})
            # Each VerifyResp either continues its report or rejects it.
            outcomes, location = self._outcomes(record, answer, inits), answer.location
            for row, outcome in zip(sent, outcomes, strict=True):
                if isinstance(outcome, bytes):
                    payloads[row] = outcome
                else:
                    errors[opened.positions[row]] = outcome

        # Vdaf.ping_pong_leader_continued finishes the reports; their output shares are committed (section 4.5.4.3).
        done = self._commit(record, job, opened, states, payloads, errors, now)
        if inits and done.later == len(inits):  # otherwise the Helper would answer the same request as before
            self._peer.delete_job(record, location)
        return done

    def _ask(self, record: TaskRecord, job: Job, inits: list[VerifyInit]) -> Answer:
        if job.resource is not None:
            return self._peer.poll_job(record, job.resource)
        batch = () if job.batch is None else (AggregationJobExtension(LEADER_SELECTED_BATCH_ID, job.batch),)
        request = AggregationJobInitReq(VERIFICATION_KEY_ID, b"", batch, tuple(inits))
        body = record.task.dialect.wire.encode_job_init(request)
        try:
            answer = self._peer.create_job(record, body, _job_id(job, body))
        except DapProblem as problem:
            if problem.status in _REFUSALS and problem.type not in _OF_TASKS:
                raise _JobRefused(problem) from None
            raise
        self._refused.accepted(record.key, job.key)
        return answer

    def _outcomes(self, record: TaskRecord, answer: Answer, inits: list[VerifyInit]) -> list[bytes | ReportError]:
        """The Helper's outcome for each report that was sent to it. A wrong answer abandons the Helper's job (section
        4.5.5); ours begins another one there later."""
        outcomes: list[bytes | ReportError] = []
        error_of = record.task.dialect.report_error
        wanted = [init.report_share.report_metadata.report_id for init in inits]
        try:
            resps = record.task.dialect.wire.decode_job_resp(answer.body or b"").verify_resps
            # The same report IDs in the same order, or the Leader MUST abandon the job.
            if [resp.report_id for resp in resps] != wanted:
                raise RemoteProtocolError("other reports than were sent, or in another order")
            for resp in resps:
                # "finish" is invalid for the state Continued: the Leader MUST abandon the job.
                if resp.outcome is None:
                    raise RemoteProtocolError("a report that is finished too early")
                outcomes.append(error_of(resp.outcome) if isinstance(resp.outcome, int) else resp.outcome)
        except RemoteProtocolError as error:
            self._peer.delete_job(record, answer.location)
            raise PeerUnavailable(f"the Helper's answer to an aggregation job is wrong: {error}") from None
        return outcomes

    def _commit(
        self,
        record: TaskRecord,
        job: Job,
        opened: Opened,
        states: VerifyStates,
        payloads: list[bytes],
        errors: dict[int, ReportError],
        now: float,
    ) -> "JobDone":
        """End the job. Reports that the Helper may take later wait in another job (section 4.5.3.1)."""
        later = sorted(i for i, error in errors.items() if error in _LATER)
        why = next((reason for i in later if (reason := _LATER[errors[i]])), None)

        # Vdaf.ping_pong_leader_continued gives an output share, or rejects the report.
        out_shares = record.task.ping_pong.leader_continued(states, payloads)
        for row in out_shares.rejected:
            errors.setdefault(opened.positions[row], _INVALID)
        outputs = Outputs(opened.report_ids, opened.times, job.batch, out_shares)

        # One transaction: those reports move to a new job, this job ends, and its output shares are committed.
        with self.store.write() as tx:
            if later:
                split_job(tx, job, later, now + self.settings.backoff, why)
            if not end_job(tx, job, rejected=len(errors) - len(later)):
                return JobDone(0, {})
            late = buckets.commit(tx, record, outputs, replays=False)

        # What became of each report; a bucket that was collected meanwhile takes no more.
        errors.update((opened.positions[row], error) for row, error in late.items() if row not in out_shares.rejected)
        aggregated = len(opened.positions) + len(opened.errors) - len(errors)
        if why is not None:
            log.warning("%d reports of task %s wait for %s: %s", len(later), record.task.text, _helper(record), why)
        return JobDone(aggregated, {i: errors[i] for i in errors if i not in later}, later=len(later))

    def _remedy(self, record: TaskRecord, job: Job, count: int, now: float, problem: DapProblem) -> "JobDone":
        """What becomes of a job of so many reports that the Helper refuses whole."""
        remedy = self._refused.remedy(record.key, job.key, count)
        if remedy is Remedy.WAIT:
            self._postpone(record, job, now, problem)
            return JobDone(0, {}, problem)
        if remedy is Remedy.HALVE:
            log.warning("%s refuses a job of %d reports, which is halved: %s", _helper(record), count, problem)
            with self.store.write() as tx:
                half = split_job(tx, job, range(count // 2, count), now)
                postpone_job(tx, job, now, str(problem))
            if half is not None:
                self._refused.halved(job.key, half)
            return JobDone(0, {}, problem)
        log.warning("%s refuses a report by itself, which is dropped: %s", _helper(record), problem)
        with self.store.write() as tx:
            end_job(tx, job, rejected=1)
        self._refused.forget(job.key)
        return JobDone(0, {0: ReportError.REPORT_DROPPED}, problem)

    def _postpone(self, record: TaskRecord, job: Job, now: float, problem: DapProblem | PeerUnavailable) -> None:
        delay = self.settings.delay(job.attempts, problem.retry_after)
        named = f"an aggregation job of task {record.task.text} waits for {_helper(record)}"
        log.warning("%s: %s; attempt %d, the next in %.0f s", named, problem, job.attempts + 1, delay)
        with self.store.write() as tx:
            postpone_job(tx, job, now + delay, str(problem))


@dataclass(frozen=True, repr=False)
class JobDone:
    """What became of a job's reports.

    Attributes:
        aggregated: how many were added to batches.
        errors: why the others were not, by position.
        problem: what keeps the job from going on; None if nothing does.
        later: how many wait in another job.
        task: of the job; None if it is deleted.
    """

    aggregated: int
    errors: Mapping[int, ReportError]
    problem: DapProblem | PeerUnavailable | None = None
    later: int = 0
    task: Task | None = None


_INVALID = ReportError.VDAF_VERIFY_ERROR
_LATER = {
    ReportError.REPORT_TOO_EARLY: None,
    ReportError.UNKNOWN_VERIFICATION_KEY_ID: f"the Helper does not know verification key {VERIFICATION_KEY_ID}",
}
"""The Helper's errors after which the Leader may send a report again (section 4.5.3.1), and what the operator should
look into."""

_REFUSALS = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}  # which may be about one report
_OF_TASKS = {"invalidTask"}  # a Helper that opts out may opt in later: jobs wait as they are


class _JobRefused(Exception):
    """The Helper refuses a new job whole."""

    def __init__(self, problem: DapProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _job_id(job: Job, body: bytes) -> bytes:
    """The ID of a job at a Helper that has the Leader choose it. After a crash it is the same again. Reports that go
    into another job, since the Helper may take them later, get another ID with it."""
    return job_id_of(job.key.to_bytes(8, "big") + body)


def _helper(record: TaskRecord) -> str:
    return f"the Helper {record.task.helper_url}"


def upload_of(task: Task, report: Report) -> Upload:
    """A report as the store has it.

    Args:
        task: of the report.
        report: as it came.
    """
    metadata = report.report_metadata
    return Upload(metadata.report_id, task.precision_time(metadata.time), report.encode())
