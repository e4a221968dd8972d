"""The Helper (sections 4.5 and 4.6): it has a store, but no sockets and no clock.

Every answer to the Leader is stored first, in one transaction with what it states. So a request that comes again, after
a crash of either side, gets the same bytes.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NoReturn

from ...errors import RemoteProtocolError
from ...http.problems import NO_TYPE
from ...vdaf import Rows
from ..hpke import PrivateKey
from ..messages import (
    BATCH_ID_SIZE,
    LEADER_SELECTED_BATCH_ID,
    VERIFICATION_KEY_ID,
    AggregateShare,
    AggregateShareReq,
    AggregationJobInitReq,
    AggregationJobResp,
    Interval,
    ReportError,
    Role,
    VerifyInit,
    VerifyResp,
    increasing,
)
from ..problems import DapProblem
from ..store import buckets, collections, helper_jobs
from ..store.buckets import Outputs
from ..store.collections import HelperShare
from ..store.engine import Store, Tx
from ..store.helper_jobs import HelperJob
from ..store.tasks import KnownTasks, TaskRecord, lock_task
from ..task import Task
from .input_shares import SKEW, Opened, ReportToOpen, open_shares
from .release import batch_interval, batch_name, check_request, journal_release, log_release, release, too_small

JOB_ID_SIZE = 16

Count = Callable[[Task, int, Mapping[int, ReportError]], None]
"""Is told of each job how many reports were aggregated, and why the others were not."""


def job_id_of(body: bytes) -> bytes:
    """The ID of a request's resource: the same bytes have the same ID (section 3.2).

    Args:
        body: the request's content.
    """
    return sha256(body).digest()[:JOB_ID_SIZE]


class Helper:
    """The Helper's part of every task.

    Args:
        store: of this Aggregator alone.
        count: counts reports; None to do without.

    Attributes:
        store: the same.
    """

    LEASE = 120.0  # seconds after which a worker's job is taken for lost

    def __init__(self, store: Store, count: Count | None = None) -> None:
        self.store = store
        self._count = count
        self._tasks = KnownTasks()

    # Aggregation jobs.

    def create_job(
        self,
        record: TaskRecord,
        keys: Mapping[int, PrivateKey],
        body: bytes,
        now: float,
        *,
        later: bool = False,
        chosen: bytes | None = None,
    ) -> tuple[bytes, HelperJob]:
        """Accept an AggregationJobInitReq (section 4.5.3.2).

        Args:
            record: the task.
            keys: private keys by the number of their configuration.
            body: the encoded request.
            now: POSIX seconds.
            later: only store the job, for `work`.
            chosen: the job's ID, in a dialect in which the Leader chooses it.

        Returns:
            The job's ID and the job.

        Raises:
            DapProblem: the draft does not allow the request; there is no job then. Or the chosen ID is another job's.
        """
        # Check the conditions under which the Helper MUST fail the whole job.
        request = _decode_init(record.task, body)

        # The same bytes are the same job, whose location and state the Leader gets again.
        job_id, digest = (job_id_of(body), None) if chosen is None else (chosen, sha256(body).digest())
        with self.store.write() as tx:
            due = now if later else now + self.LEASE
            job = helper_jobs.add_job(tx, record, job_id, body, now, due, digest=digest)

        # Under an ID that the Leader chooses there may be a job already, whose request must not change.
        if job.digest != digest:
            raise DapProblem(NO_TYPE, "this ID is another job's: choose a new one", status=409, task_id=record.task.id)

        # Otherwise verify now, or leave that to `work` (section 3.1).
        if not job.ended and not later:
            job = self._finish(record, keys, job, request, now)
        return job_id, job

    def work(self, keys: Mapping[int, PrivateKey], now: float) -> bool:
        """Finish one job that was stored for later, or that a crash interrupted.

        Args:
            keys: private keys by the number of their configuration.
            now: POSIX seconds.

        Returns:
            Whether there was one.
        """
        with self.store.write() as tx:
            job = helper_jobs.lease_job(tx, now, self.LEASE)
            record = None if job is None else self._tasks.find(tx, job.task)
        if job is None:
            return False
        if record is None or job.request is None:
            with self.store.write() as tx:
                helper_jobs.end_job(tx, job)
            return True
        self._finish(record, keys, job, _decode_init(record.task, job.request), now)
        return True

    def find_job(self, record: TaskRecord, job_id: bytes) -> HelperJob:
        """The aggregation job with this ID.

        Args:
            record: the task.
            job_id: as in the job's URL.

        Raises:
            DapProblem: there is no such job.
        """
        with self.store.read() as tx:
            job = helper_jobs.find_job(tx, record, job_id)
        if job is None or job.deleted:
            raise DapProblem(
                "unrecognizedAggregationJob", "there is no such aggregation job", status=404, task_id=record.task.id
            )
        return job

    def continue_job(self, record: TaskRecord, body: bytes) -> NoReturn:
        """Refuse an AggregationJobContinueReq (section 4.5.4.2): a job of a VDAF of one round ends with step 0.

        Args:
            record: the task.
            body: the encoded request.

        Raises:
            DapProblem: invalidMessage or stepMismatch.
        """
        task = record.task
        try:
            request = task.dialect.wire.decode_job_continue(body)
        except RemoteProtocolError as error:
            raise DapProblem("invalidMessage", str(error), task_id=task.id) from None
        if request.step == 0:
            raise DapProblem("invalidMessage", "step 0 begins a job and does not continue one", task_id=task.id)
        if request.verify_continues:
            detail = "no report waits for this: Prio3 verifies each in one round"
            raise DapProblem("invalidMessage", detail, task_id=task.id)
        raise DapProblem("stepMismatch", "Prio3's jobs end with their first step", task_id=task.id)

    def delete_job(self, record: TaskRecord, job_id: bytes) -> None:
        """Delete a job's answer (section 4.5.5). What was committed and the reports' IDs stay.

        Args:
            record: the task.
            job_id: as in the job's URL.

        Raises:
            DapProblem: there is no such job.
        """
        job = self.find_job(record, job_id)
        with self.store.write() as tx:
            helper_jobs.end_job(tx, job)

    def _finish(
        self,
        record: TaskRecord,
        keys: Mapping[int, PrivateKey],
        job: HelperJob,
        request: AggregationJobInitReq,
        now: float,
    ) -> HelperJob:
        """Verify every report; commit and answer in one transaction."""
        # Section 4.5.3.2: decrypt and check the input shares as the Leader does.
        task, inits = record.task, request.verify_inits
        opened = _opened(task, keys, request, now)

        # For each report: Vdaf.ping_pong_helper_init gives an output share, and the message for the Leader.
        out_shares, messages = task.ping_pong.helper_init(
            record.secrets.verify_key,
            task.ctx,
            opened.report_ids,
            opened.public_shares,
            opened.input_shares,
            [inits[i].payload for i in opened.positions],
        )

        # The batch bucket is determined by the report's time, or by the batch ID that the Leader names.
        batch_id = None if task.by_time else request.extensions[0].extension_data
        outputs = Outputs(opened.report_ids, opened.times, batch_id, out_shares)

        # Commit the output shares, and store a VerifyResp for each report, in one transaction.
        with self.store.write() as tx:
            current = helper_jobs.lock_job(tx, record, job.id)
            if current.ended:  # by another worker, after our lease
                return current
            outcomes = _outcomes(opened, messages, buckets.commit(tx, record, outputs, replays=True))
            response = task.dialect.wire.encode_job_resp(_response(task, inits, outcomes))
            helper_jobs.end_job(tx, job, response=response)
        errors = {i: outcome for i, outcome in outcomes.items() if isinstance(outcome, ReportError)}
        if self._count is not None:
            self._count(task, len(outcomes) - len(errors), errors)
        return HelperJob(job.task, job.id, None, response, job.digest)

    # Aggregate shares.

    def create_share(self, record: TaskRecord, body: bytes, now: float) -> tuple[bytes, bytes]:
        """Accept an AggregateShareReq (section 4.6.4).

        Args:
            record: the task.
            body: the encoded request.
            now: POSIX seconds.

        Returns:
            The share's ID and the encoded AggregateShare.

        Raises:
            DapProblem: the batch cannot be collected in this way; nothing is released then.
        """
        # The same bytes are the same share, which is released once.
        share_id = job_id_of(body)
        with self.store.read() as tx:
            share = collections.find_aggregate_share(tx, record, share_id)

        # Releases of a task exclude one another; meanwhile another worker may have released this share.
        if share is None:
            request, released = _decode_share_req(record.task, body), None
            with self.store.write() as tx:
                lock_task(tx, record.key, alone=True)
                share = collections.find_aggregate_share(tx, record, share_id)
                if share is None:
                    share, released = self._release(tx, record, request, now)
                    collections.add_aggregate_share(tx, record, share_id, share, now)
            if released is not None:
                log_release(self.store, record, *released)

        # A deleted share is not released again: its batch is collected.
        if share.response is None:
            raise DapProblem(
                "batchOverlap", "this batch was collected, and its share was deleted", task_id=record.task.id
            )

        # The journal has the release before the share leaves.
        journal_release(self.store, record, share.batch)
        return share_id, share.response

    def find_share(self, record: TaskRecord, share_id: bytes) -> bytes:
        """The encoded AggregateShare with this ID.

        Args:
            record: the task.
            share_id: as in the share's URL.

        Raises:
            DapProblem: there is no such share, or it was deleted.
        """
        with self.store.read() as tx:
            share = collections.find_aggregate_share(tx, record, share_id)
        if share is None or share.response is None:
            raise DapProblem(NO_TYPE, "there is no such aggregate share", status=404, task_id=record.task.id)
        journal_release(self.store, record, share.batch)
        return share.response

    def delete_share(self, record: TaskRecord, share_id: bytes) -> None:
        """Delete an aggregate share (section 4.6.5). Its batch stays collected, and its budget stays spent.

        Args:
            record: the task.
            share_id: as in the share's URL.

        Raises:
            DapProblem: there is no such share.
        """
        self.find_share(record, share_id)
        with self.store.write() as tx:
            collections.delete_aggregate_share(tx, record, share_id)

    def _release(
        self, tx: Tx, record: TaskRecord, request: AggregateShareReq, now: float
    ) -> tuple[HelperShare, tuple[Interval | bytes, int]]:
        """The share, and its batch with the number of reports."""
        task, batch = record.task, _selected(record.task, request)
        held = buckets.get_batch(tx, record, batch)
        if isinstance(batch, bytes) and held.count == 0 and not buckets.overlaps_collected(tx, record, batch):
            raise DapProblem(task.dialect.resources.unknown_batch, too_small(task, 0), task_id=task.id)
        agreed = request.report_count, request.checksum
        sealed = release(tx, record, batch, request.collection_job_req, held, now, agreed=agreed)
        return HelperShare(batch_name(batch), AggregateShare(sealed).encode()), (batch, held.count)


def _decode_init(task: Task, body: bytes) -> AggregationJobInitReq:
    """The request, if it meets the conditions under which the Helper must not fail the whole job (section 4.5.3.2)."""
    # A malformed request.
    try:
        request = task.dialect.wire.decode_job_init(body)
    except RemoteProtocolError as error:
        raise DapProblem("invalidMessage", str(error), task_id=task.id) from None

    # Unrecognized extensions; the only one there is belongs to leader-selected batches (section 5.2.2).
    resources = task.dialect.resources
    types = [extension.extension_type for extension in request.extensions]
    unknown = sorted(set(types) - {LEADER_SELECTED_BATCH_ID})
    if unknown or (types and task.by_time):
        raise DapProblem(
            "unsupportedExtension" if unknown else resources.unlike_batch,
            f"aggregation job extensions {unknown or types} are not supported here",
            task_id=task.id,
            unsupported_extensions=unknown or types,
        )

    # Extensions out of order, or a leader-selected job without its batch ID.
    if not increasing(request.extensions):
        raise DapProblem("invalidMessage", "extensions must be in strictly increasing order", task_id=task.id)
    if not task.by_time and [len(e.extension_data) for e in request.extensions] != [BATCH_ID_SIZE]:
        raise DapProblem(
            "invalidMessage", f"a leader-selected job must name its batch ID, {BATCH_ID_SIZE} bytes", task_id=task.id
        )

    # The aggregation parameter and the verification key: there is one of each.
    if request.agg_param:
        raise DapProblem(
            resources.unlike_agg_param, "Prio3's aggregation parameter must be empty", task_id=task.id
        )  # fmt: skip
    if request.verification_key_id != VERIFICATION_KEY_ID and task.dialect.unknown_key is None:
        detail = f"this task has one verification key, number {VERIFICATION_KEY_ID}"
        raise DapProblem("invalidMessage", detail, task_id=task.id)

    # A report ID that appears twice.
    ids = [init.report_share.report_metadata.report_id for init in request.verify_inits]
    if not ids or len(set(ids)) != len(ids):
        raise DapProblem("invalidMessage", "a job must have at least one report, and none twice", task_id=task.id)
    return request


def _opened(task: Task, keys: Mapping[int, PrivateKey], request: AggregationJobInitReq, now: float) -> Opened:
    # A verification key that is not known here: reject each report, which the Leader may send again under another key.
    unknown_key = task.dialect.unknown_key
    if unknown_key is not None and request.verification_key_id != VERIFICATION_KEY_ID:
        return Opened(errors=dict.fromkeys(range(len(request.verify_inits)), unknown_key))
    shares = [init.report_share for init in request.verify_inits]
    to_open = [ReportToOpen(s.report_metadata, s.public_share, s.encrypted_input_share) for s in shares]
    return open_shares(task, Role.HELPER, keys, to_open, now + SKEW)


def _outcomes(opened: Opened, messages: Rows, errors: Mapping[int, ReportError]) -> dict[int, bytes | ReportError]:
    """Of each report, the message for the Leader, or why it is rejected; `errors` are of those that were opened."""
    outcomes: dict[int, bytes | ReportError] = {**opened.errors}
    for row, position in enumerate(opened.positions):
        if row in messages.rejected:
            outcomes[position] = ReportError.VDAF_VERIFY_ERROR
        else:
            outcomes[position] = errors[row] if row in errors else messages[row]
    return outcomes


def _response(
    task: Task, inits: tuple[VerifyInit, ...], outcomes: Mapping[int, bytes | ReportError]
) -> AggregationJobResp:
    number = task.dialect.error_number
    ids = [init.report_share.report_metadata.report_id for init in inits]
    told = [number(each) if isinstance(each, ReportError) else each for _, each in sorted(outcomes.items())]
    return AggregationJobResp(tuple(VerifyResp(*pair) for pair in zip(ids, told, strict=True)))


def _decode_share_req(task: Task, body: bytes) -> AggregateShareReq:
    try:
        request = task.dialect.wire.decode_share_req(body)
    except RemoteProtocolError as error:
        raise DapProblem("invalidMessage", str(error), task_id=task.id) from None
    if request.batch_selector.batch_mode is not task.batch_mode:
        raise DapProblem("invalidMessage", f"this task's batch mode is {task.batch_mode.name}", task_id=task.id)
    check_request(task, request.collection_job_req, unlike_jobs="invalidMessage")
    return request


def _selected(task: Task, request: AggregateShareReq) -> Interval | bytes:
    """The batch of the request; it must be within the Collector's query (section 5)."""
    config, query = request.batch_selector.config, request.collection_job_req.query.config
    if not task.by_time:
        if len(config) != BATCH_ID_SIZE or query:
            raise DapProblem(
                "invalidMessage", f"the batch ID must have {BATCH_ID_SIZE} bytes, and the query none", task_id=task.id
            )
        return config
    batch, asked = batch_interval(task, config), batch_interval(task, query)
    if not batch.within(asked):
        raise DapProblem("batchInvalid", "the batch is not within the Collector's query", task_id=task.id)
    return batch
