"""The Leader's resources: reports and collection jobs."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import asynccontextmanager
from http import HTTPStatus
from math import ceil
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import RemoteProtocolError
from ...http.capacity import Capacity
from ..aggregator.collection_jobs import COLLECTION_JOB_ID_SIZE, LOOK_AGAIN
from ..aggregator.leader import Leader
from ..dialect import Dialect
from ..media_types import UPLOAD_ERRORS
from ..messages import Interval, Report, ReportError, ReportUploadStatus, UploadErrors
from ..problems import REFUSED, WAITING, DapProblem
from ..reports import decode_upload, split_upload
from ..store.collections import CollectionJob
from ..store.tasks import TaskRecord
from ..task import Task
from .advertised import find_advertised_task
from .common import (
    QUERY_BYTES,
    Context,
    answering,
    authenticate,
    location,
    request_body,
    require_method,
    require_shared,
    resource_id,
    shown_token,
    stored_problem,
)
from .report_writer import UploadWriter

UPLOAD_SLICE = 1000
"""Reports of an upload that are decoded and stored at once: they take several times the memory of their bytes."""

LONG_BODY = 1 << 17
"""Bytes; what is longer is decoded on a thread, since the event loop would stand still for some 20 ms and more."""

T = TypeVar("T")


class LeaderResources:
    """What Clients and the Collector ask of the Leader; each method answers a request, or raises DapProblem.

    Args:
        leader: does the work.
        context: what every resource needs.
    """

    def __init__(self, leader: Leader, context: Context) -> None:
        self._leader = leader
        self._context = context
        self._writer = UploadWriter(leader, context.limits.waiting_reports)
        self._turns = Capacity(context.limits.requests)

    def routes(self) -> list[Route]:
        """The routes of all resources (appendix A)."""
        context = self._context
        jobs = "/tasks/{task}/collection_jobs"
        return [
            Route("/tasks/{task}/reports", answering(context, "reports", self.upload), methods=["POST", "PUT"]),
            Route(jobs, answering(context, "collection_jobs", self.create), methods=["POST"]),
            Route(jobs + "/{resource}", answering(context, "collection_jobs", self.put), methods=["PUT"]),
            Route(jobs + "/{resource}", answering(context, "collection_jobs", self.get), methods=["GET", "POST"]),
            Route(jobs + "/{resource}", answering(context, "collection_jobs", self.delete), methods=["DELETE"]),
        ]

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> Any:
        """Writes uploads while the application runs, and at its end those that still wait."""
        writing = asyncio.create_task(self._writer.run())
        yield
        await self._writer.stop()
        await writing

    async def upload(self, request: Request) -> Response:
        """POST or PUT reports: an upload in the dialect of the task (section 4.4.2.2)."""
        # Find the task, or abort with unrecognizedTask (section 4.4.2.2); one that is advertised may begin here.
        context, now = self._context, self._context.clock()
        record = await find_advertised_task(context, request)
        task, dialect = record.task, record.task.dialect
        require_method(request, (dialect.upload_method,))
        _authenticate_client(context, request, record)

        # Take the reports, a slice of them at a time.
        refused: list[tuple[bytes, ReportError]] = []  # report IDs, and why
        collected: dict[Interval, None] = {}  # batches that refuse reports, in the order of the request
        upload_bytes = context.limits.upload_bytes
        async with request_body(context, request, dialect.upload_media_type, dialect.tag, upload_bytes) as body:
            if not context.directory.keys_remembered:
                await run_in_threadpool(context.directory.key_pairs)
            bounds = await self._off_loop(body, split_upload, task, body)
            for first in range(0, len(bounds) - 1, UPLOAD_SLICE):
                last = min(first + UPLOAD_SLICE, len(bounds) - 1)
                refused += await self._take(record, body[bounds[first] : bounds[last]], now, collected)

        # An empty body if all were accepted; otherwise the errors, in the order of the request.
        if not refused:
            return Response(status_code=200)
        headers = {REFUSED: _collected_text(task, collected)} if collected else {}
        if not dialect.bulk:
            raise _dap09_problem(refused[0][1], task.id, headers.get(REFUSED))
        content = await run_in_threadpool(_upload_errors, refused, dialect)
        return Response(content, headers={**headers, "Content-Type": UPLOAD_ERRORS})

    async def _take(
        self, record: TaskRecord, body: bytes, now: float, collected: dict[Interval, None]
    ) -> list[tuple[bytes, ReportError]]:
        """Store those reports of a slice that nothing speaks against. Returns the IDs of the others and why they are
        refused, in their order. Collected batches that refuse some are added to `collected`."""
        # Decode them, and check each report by itself.
        reports, errors = await self._off_loop(body, self._checked, record.task, body, now)

        # Store the reports; those of a collected batch are discarded.
        good = [i for i in range(len(reports)) if i not in errors]
        for i, batch in zip(good, await self._writer.write(record, [reports[i] for i in good]), strict=True):
            if batch is not None:
                errors[i] = ReportError.BATCH_COLLECTED
                collected[batch] = None

        # Count the outcomes.
        self._context.metrics.count_uploads(record.task, len(reports) - len(errors), errors.values())
        return [(reports[i].report_metadata.report_id, errors[i]) for i in sorted(errors)]

    async def _off_loop(self, body: bytes, work: Callable[..., T], *arguments: Any) -> T:
        """Work on a body that raises invalidMessage if it is malformed; a long one on a thread, so that others are
        answered meanwhile: of short ones that would be most of the time."""
        try:
            if len(body) > LONG_BODY:
                return await run_in_threadpool(work, *arguments)
            return work(*arguments)
        except RemoteProtocolError as error:
            raise DapProblem("invalidMessage", str(error)) from None

    def _checked(self, task: Task, body: bytes, now: float) -> tuple[tuple[Report, ...], dict[int, ReportError]]:
        """The reports of an upload, and why some of them are refused."""
        reports = decode_upload(task, body)
        return reports, self._leader.check_upload(task, self._context.directory.accepted(), reports, now)

    async def create(self, request: Request) -> Response:
        """POST collection_jobs: begin a collection job (section 4.6.1)."""
        record = await self._task(request)
        require_shared(record.task)
        job = await self._create(request, record, None)
        return self._show(record, job, record.task.dialect.resources.pending)

    async def put(self, request: Request) -> Response:
        """PUT a collection job under an ID that the Collector has chosen (draft 9, section 4.6.1). The answer has no
        result: the Collector asks for that."""
        record = await self._task(request)
        resources = record.task.dialect.resources
        require_method(request, resources.collection_methods)
        job = await self._create(request, record, resource_id(request, COLLECTION_JOB_ID_SIZE))
        return Response(status_code=resources.created, headers=_location(record, job))

    async def _create(self, request: Request, record: TaskRecord, chosen: bytes | None) -> CollectionJob:
        context, create = self._context, self._leader.collections.create
        max_bytes = min(context.limits.request_bytes, QUERY_BYTES)
        media_type, tag = record.task.dialect.resources.media_types.collection_req, record.task.dialect.aggregators_tag
        async with request_body(context, request, media_type, tag, max_bytes) as body:
            with self._turns.reserve():
                return await run_in_threadpool(create, record, body, context.clock(), chosen=chosen)

    async def get(self, request: Request) -> Response:
        """GET a collection job, or POST to it in draft 9, while it is not ready and afterwards (section 4.6.1)."""
        record, job_id = await self._named(request)
        require_method(request, record.task.dialect.resources.collection_methods)
        job = await run_in_threadpool(self._leader.collections.find, record, job_id)
        return self._show(record, job, record.task.dialect.resources.pending)

    async def delete(self, request: Request) -> Response:
        """DELETE a collection job (section 4.6.3)."""
        record, job_id = await self._named(request)
        await run_in_threadpool(self._leader.collections.delete, record, job_id)
        return Response(status_code=200)

    async def _task(self, request: Request) -> TaskRecord:
        record = await find_advertised_task(self._context, request, opt_in=False)
        authenticate(self._context, request, record)
        return record

    async def _named(self, request: Request) -> tuple[TaskRecord, bytes]:
        return await self._task(request), resource_id(request, COLLECTION_JOB_ID_SIZE)

    def _show(self, record: TaskRecord, job: CollectionJob, pending: HTTPStatus) -> Response:
        headers = _location(record, job)
        if job.problem is not None:
            return stored_problem(job.problem, headers)
        if job.finished:
            media_type = record.task.dialect.resources.media_types.collection_resp
            return Response(job.response, headers={**headers, "Content-Type": media_type})
        wait = 1.0 if job.due is None else job.due - self._context.clock()
        if wait > LOOK_AGAIN:  # not a wait for reports but a worker's lease, which may end at any moment
            wait = 1.0
        if job.waiting is not None:
            headers[WAITING] = job.waiting.encode("ascii", "replace").decode()  # it may have words of the Helper's
        return Response(status_code=pending, headers={**headers, "Retry-After": str(max(1, ceil(wait)))})


def _authenticate_client(context: Context, request: Request, record: TaskRecord) -> None:
    """Refuse an upload that shows none of the task's tokens of Clients, if it has any (section 3.5), and count it."""
    if not record.takes_uploads_of(shown_token(request)):
        context.metrics.count_unauthorized(record.task)
        detail = "uploads to this task need a Client's token: send yours as 'Authorization: Bearer ...'"
        raise DapProblem(record.task.dialect.resources.unauthorized, detail, status=401, task_id=record.task.id)


def _location(record: TaskRecord, job: CollectionJob) -> dict[str, str]:
    return {"Location": location(record.task, record.task.leader_url, "collection_jobs", job.id)}


_DAP09_ERRORS = {
    ReportError.OUTDATED_CONFIG: ("outdatedConfig", "fetch the HPKE configurations anew and send a fresh report"),
    ReportError.REPORT_TOO_EARLY: ("reportTooEarly", "the report's time is in the future; check the clock"),
}


def _dap09_problem(error: ReportError, task_id: bytes, collected: str | None) -> DapProblem:
    kind, detail = _DAP09_ERRORS.get(error, ("reportRejected", error.value.replace("_", " ")))
    return DapProblem(kind, collected or detail, task_id=task_id)


def _upload_errors(refused: list[tuple[bytes, ReportError]], dialect: Dialect) -> bytes:
    """The answer to an upload of which these reports are refused. There may be as many as an upload has."""
    statuses = [ReportUploadStatus(report_id, dialect.error_number(error)) for report_id, error in refused]
    return UploadErrors(tuple(statuses)).encode()


def _collected_text(task: Task, collected: Collection[Interval]) -> str:
    """What refuses the reports of these batches."""
    first, *others = collected
    more = f" and {len(others):,} more" if others else ""
    return f"collected, and takes no more reports: the batch {task.interval_text(first)}{more}"
