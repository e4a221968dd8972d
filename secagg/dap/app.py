"""Leader and Helper as ASGI applications: every resource of the draft's appendix A, and /healthz and /metrics.

What blocks runs on threads; the event loop only decodes short uploads, of which many come at once.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import RemoteProtocolError
from .dialect import DAP_18
from .directory import Directory
from .helper import JOB_ID_SIZE, Helper
from .leader import COLLECTION_JOB_ID_SIZE, LOOK_AGAIN, Leader
from .messages import TASK_ID_SIZE, Report, ReportError, ReportUploadStatus, UploadErrors
from .metrics import Metrics
from .peer import JOB_INIT_REQ, JOB_RESP, SHARE, SHARE_REQ
from .problems import MEDIA_TYPE, NO_TYPE, DapProblem, to_document
from .reports import decode_upload
from .store.engine import StoreUnavailable
from .store.helper_jobs import HelperJob
from .store.releases import CollectionJob
from .store.tasks import AggregatorTask, token_matches
from .task import Task, base64url, from_base64url
from .writer import Full, UploadWriter

UPLOAD_ERRORS = "application/ppm-dap;message=upload-errors"
COLLECTION_REQ = "application/ppm-dap;message=collection-job-req"
COLLECTION_RESP = "application/ppm-dap;message=collection-job-resp"

_QUERY_BYTES = 1 << 17  # of a request about a batch
_LONG_UPLOAD = 1 << 18  # bytes; longer ones are decoded on a thread, so that others are answered meanwhile
UPLOADS_AT_ONCE = 16  # whose content is as long as may be; of shorter ones as many more

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Limits:
    """What one process takes on before it says 503 or 413.

    Attributes:
        upload_bytes: of a request with reports.
        request_bytes: of any other request.
        waiting_reports: that are not on disk yet.
        requests: of Leader or Collector that are worked on at once; each holds a thread and its body.
        key_cache: seconds for which Clients may keep our HPKE configurations.
        body_seconds: for which a request's content may be on its way.
    """

    upload_bytes: int = 1 << 24
    request_bytes: int = 1 << 26
    waiting_reports: int = 10_000
    requests: int = 16
    key_cache: int = 86_400
    body_seconds: float = 60.0


@dataclass(repr=False)
class Context:
    """What every resource needs.

    Attributes:
        directory: tasks and keys.
        metrics: what is counted.
        limits: see there.
        clock: POSIX seconds.
        helper_later: the Helper answers aggregation jobs when they are polled, not at once.
    """

    directory: Directory
    metrics: Metrics = field(default_factory=Metrics)
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    helper_later: bool = False


def leader_app(leader: Leader, context: Context, lifespan: Any = None) -> Starlette:
    """The Leader's resources."""
    resources = _LeaderResources(leader, context)
    return _app(context, resources.routes(), resources.lifespan, lifespan)


def helper_app(helper: Helper, context: Context, lifespan: Any = None) -> Starlette:
    """The Helper's resources."""
    return _app(context, _HelperResources(helper, context).routes(), None, lifespan)


def _app(context: Context, routes: list[Route], *lifespans: Any) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with _entered(app, [each for each in lifespans if each is not None]):
            yield

    async def metrics(request: Request) -> Response:
        text = await run_in_threadpool(context.metrics.text)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def healthz(request: Request) -> Response:
        await run_in_threadpool(context.directory.key_pairs)
        return Response("ok\n", media_type="text/plain")

    common = [
        Route("/hpke_config", _answering(context, "hpke_config", _HpkeConfig(context)), methods=["GET"]),
        Route("/healthz", _answering(context, "healthz", healthz), methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    # Browsers upload from pages of other origins; they carry no credentials.
    cors = Middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST", "PUT"], allow_headers=["Content-Type"]
    )
    return Starlette(routes=[*common, *routes], lifespan=lifespan, middleware=[cors])


@asynccontextmanager
async def _entered(app: Starlette, lifespans: list[Any]) -> Any:
    if not lifespans:
        yield
        return
    async with lifespans[0](app), _entered(app, lifespans[1:]):
        yield


def _answering(context: Context, name: str, endpoint: Endpoint) -> Endpoint:
    """Turns what is raised on purpose into a problem document, and counts."""

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await endpoint(request)
        except DapProblem as problem:
            response = problem_response(problem)
        except (Full, StoreUnavailable) as error:
            log.warning("%s: %s", name, error)
            response = problem_response(DapProblem(NO_TYPE, "busy; try again later", status=503, retry_after=1))
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception:
            log.exception("%s failed", name)
            response = problem_response(DapProblem(NO_TYPE, "internal error; see the server's log", status=500))
        context.metrics.request_seconds.labels(name).observe(time.perf_counter() - started)
        context.metrics.requests.labels(name, str(response.status_code)).inc()
        return response

    return answer


def problem_response(problem: DapProblem) -> Response:
    headers = {} if problem.retry_after is None else {"Retry-After": str(ceil(problem.retry_after))}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, section 15.5.2
    return Response(to_document(problem), problem.status, headers, MEDIA_TYPE)


class _HpkeConfig:
    """GET hpke_config, in the dialect of the task that is asked for (section 4.4.1)."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, request: Request) -> Response:
        dialect, asked = DAP_18, request.query_params.get("task_id")
        if asked is not None:
            mine = await _find_task(self._context, asked)
            dialect = mine.task.dialect
        configs = await run_in_threadpool(self._context.directory.advertised)
        response = Response(configs.encode(), headers={"Cache-Control": f"max-age={self._context.limits.key_cache}"})
        response.headers["Content-Type"] = dialect.hpke_config_list_media_type
        return response


async def _find_task(context: Context, text: str) -> AggregatorTask:
    try:
        task_id = from_base64url(text, TASK_ID_SIZE)
    except RemoteProtocolError:
        raise DapProblem("invalidMessage", "a task ID is URL-safe base64 of 32 bytes") from None
    mine = context.directory.remembered(task_id) or await run_in_threadpool(context.directory.task, task_id)
    if mine is None:
        raise DapProblem("unrecognizedTask", "there is no such task here", status=404, task_id=task_id)
    return mine


def _resource_id(request: Request, size: int) -> bytes:
    try:
        return from_base64url(request.path_params["resource"], size)
    except RemoteProtocolError:
        raise DapProblem(NO_TYPE, "there is no such resource", status=404) from None


def _location(task: Task, endpoint: str, resource: str, number: bytes) -> str:
    """Where a resource is, under the endpoint's own path, which a proxy in front of us may have taken off."""
    return f"{urlsplit(endpoint).path}/tasks/{task.text}/{resource}/{base64url(number)}"


async def _body(request: Request, media_type: str, most: int, seconds: float) -> bytes:
    """The request's content, read no further than allowed, and no longer."""
    given = request.headers.get("content-type", "")
    if given.replace(" ", "").lower() != media_type:
        raise DapProblem(NO_TYPE, f"Content-Type must be {media_type}", status=415)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise DapProblem(NO_TYPE, f"a request has at most {most:,} bytes here", status=413)
                parts.append(part)
    except TimeoutError:
        raise DapProblem(NO_TYPE, f"the request's content must come within {seconds:g} s", status=408) from None
    return b"".join(parts)


def _authenticate(request: Request, mine: AggregatorTask, kept: bytes) -> None:
    """Raises DapProblem unless the request shows the token, in either of two headers."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    token = shown.strip() if scheme.lower() == "bearer" else request.headers.get("dap-auth-token")
    if not kept or not token_matches(None if token is None else token.encode(), kept):
        detail = "show the task's token as 'Authorization: Bearer ...' or 'DAP-Auth-Token: ...'"
        raise DapProblem(NO_TYPE, detail, status=401, task_id=mine.task.id)


class _Room:
    """Lets requests hold only so much at once: threads, or bytes of their bodies."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def taken(self, amount: int = 1) -> Iterator[None]:
        """Raises DapProblem where there is not enough left."""
        if self._free < amount:
            raise DapProblem(NO_TYPE, "too many requests at once; try again later", status=503, retry_after=1)
        self._free -= amount
        try:
            yield
        finally:
            self._free += amount


def _declared(request: Request, most: int) -> int:
    """Bytes of a request's content: what it declares, or all that it may have."""
    given = request.headers.get("content-length", "")
    return min(int(given), most) if given.isascii() and given.isdigit() else most


class _LeaderResources:
    def __init__(self, leader: Leader, context: Context) -> None:
        self._leader = leader
        self._context = context
        self._writer = UploadWriter(leader, context.limits.waiting_reports)
        self._bodies = _Room(UPLOADS_AT_ONCE * context.limits.upload_bytes)
        self._turns = _Room(context.limits.requests)

    def routes(self) -> list[Route]:
        answering, context = _answering, self._context
        jobs = "/tasks/{task}/collection_jobs"
        return [
            Route("/tasks/{task}/reports", answering(context, "reports", self.upload), methods=["POST", "PUT"]),
            Route(jobs, answering(context, "collection_jobs", self.create), methods=["POST"]),
            Route(jobs + "/{resource}", answering(context, "collection_jobs", self.get), methods=["GET"]),
            Route(jobs + "/{resource}", answering(context, "collection_jobs", self.delete), methods=["DELETE"]),
        ]

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> Any:
        writing = asyncio.create_task(self._writer.run())
        yield
        await self._writer.stop()
        await writing

    async def upload(self, request: Request) -> Response:
        """Section 4.4.2.2, and the dialects'."""
        with self._bodies.taken(_declared(request, self._context.limits.upload_bytes)):
            return await self._upload(request)

    async def _upload(self, request: Request) -> Response:
        context, now = self._context, self._context.clock()
        mine = await _find_task(context, request.path_params["task"])
        task, dialect = mine.task, mine.task.dialect
        if request.method != dialect.upload_method:
            detail = f"this task takes reports by {dialect.upload_method}"
            response = problem_response(DapProblem(NO_TYPE, detail, status=405, task_id=task.id))
            response.headers["Allow"] = dialect.upload_method  # RFC 9110, section 15.5.6
            return response
        limits = context.limits
        body = await _body(request, dialect.upload_media_type, limits.upload_bytes, limits.body_seconds)
        if not context.directory.keys_remembered:
            await run_in_threadpool(context.directory.key_pairs)
        if len(body) > _LONG_UPLOAD:  # of which a million bytes take up to half a second
            reports, errors = await run_in_threadpool(self._checked, task, body, now)
        else:
            reports, errors = self._checked(task, body, now)
        good = [i for i in range(len(reports)) if i not in errors]
        kept = await self._writer.write(mine, [reports[i] for i in good])
        errors.update((i, ReportError.REPORT_REPLAYED) for i, keep in zip(good, kept, strict=True) if not keep)
        context.metrics.uploaded.labels("accepted").inc(len(reports) - len(errors))
        for reason in errors.values():
            context.metrics.uploaded.labels(reason.name.lower()).inc()
        if not errors:
            return Response(status_code=200)
        if not dialect.bulk:
            raise _dap09_problem(errors[0], task.id)
        ids = [report.report_metadata.report_id for report in reports]
        statuses = tuple(ReportUploadStatus(ids[i], errors[i]) for i in sorted(errors))
        return Response(UploadErrors(statuses).encode(), headers={"Content-Type": UPLOAD_ERRORS})

    def _checked(self, task: Task, body: bytes, now: float) -> tuple[tuple[Report, ...], dict[int, ReportError]]:
        """The reports of an upload, and why some of them are refused."""
        try:
            reports = decode_upload(task, body)
        except RemoteProtocolError as error:
            raise DapProblem("invalidMessage", str(error), task_id=task.id) from None
        return reports, self._leader.check_upload(task, self._context.directory.accepted(), reports, now)

    async def create(self, request: Request) -> Response:
        mine = await _find_task(self._context, request.path_params["task"])
        _authenticate(request, mine, mine.secrets.collector_token)
        limits = self._context.limits
        body = await _body(request, COLLECTION_REQ, min(limits.request_bytes, _QUERY_BYTES), limits.body_seconds)
        with self._turns.taken():
            job = await run_in_threadpool(self._leader.create_collection, mine, body, self._context.clock())
        return self._show(mine, job)

    async def get(self, request: Request) -> Response:
        mine, job_id = await self._named(request)
        job = await run_in_threadpool(self._leader.find_collection, mine, job_id)
        return self._show(mine, job)

    async def delete(self, request: Request) -> Response:
        mine, job_id = await self._named(request)
        await run_in_threadpool(self._leader.delete_collection, mine, job_id)
        return Response(status_code=200)

    async def _named(self, request: Request) -> tuple[AggregatorTask, bytes]:
        mine = await _find_task(self._context, request.path_params["task"])
        _authenticate(request, mine, mine.secrets.collector_token)
        return mine, _resource_id(request, COLLECTION_JOB_ID_SIZE)

    def _show(self, mine: AggregatorTask, job: CollectionJob) -> Response:
        headers = {"Location": _location(mine.task, mine.task.leader_url, "collection_jobs", job.id)}
        if job.problem is not None:
            return stored_problem(job.problem, headers)
        if job.finished:
            return Response(job.response, headers={**headers, "Content-Type": COLLECTION_RESP})
        wait = 1.0 if job.due is None else job.due - self._context.clock()
        if wait > LOOK_AGAIN:  # no wait for reports, but a worker's lease: it may be done any moment
            wait = 1.0
        return Response(headers={**headers, "Retry-After": str(max(1, ceil(wait)))})


_DAP09_ERRORS = {
    ReportError.OUTDATED_CONFIG: ("outdatedConfig", "fetch the HPKE configurations anew and send a fresh report"),
    ReportError.REPORT_TOO_EARLY: ("reportTooEarly", "the report's time is in the future; check the clock"),
}


def _dap09_problem(error: ReportError, task_id: bytes) -> DapProblem:
    kind, detail = _DAP09_ERRORS.get(error, ("reportRejected", error.name.lower().replace("_", " ")))
    return DapProblem(kind, detail, task_id=task_id)


def stored_problem(document: str, headers: dict[str, str]) -> Response:
    """A problem that ended a job, as it was stored."""
    return Response(document, int(json.loads(document)["status"]), headers, MEDIA_TYPE)


class _HelperResources:
    def __init__(self, helper: Helper, context: Context) -> None:
        self._helper = helper
        self._context = context
        self._turns = _Room(context.limits.requests)

    def routes(self) -> list[Route]:
        answering, context = _answering, self._context
        jobs, shares = "/tasks/{task}/aggregation_jobs", "/tasks/{task}/aggregate_shares"
        return [
            Route(jobs, answering(context, "aggregation_jobs", self.create_job), methods=["POST"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.get_job), methods=["GET"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.delete_job), methods=["DELETE"]),
            Route(jobs + "/{resource}", answering(context, "aggregation_jobs", self.continue_job), methods=["POST"]),
            Route(shares, answering(context, "aggregate_shares", self.create_share), methods=["POST"]),
            Route(shares + "/{resource}", answering(context, "aggregate_shares", self.get_share), methods=["GET"]),
            Route(
                shares + "/{resource}", answering(context, "aggregate_shares", self.delete_share), methods=["DELETE"]
            ),
        ]

    async def create_job(self, request: Request) -> Response:
        mine = await self._task(request)
        context = self._context
        with self._turns.taken():
            limits = context.limits
            body = await _body(request, JOB_INIT_REQ, limits.request_bytes, limits.body_seconds)
            keys = await run_in_threadpool(context.directory.private_keys)
            job_id, job = await run_in_threadpool(
                self._helper.create_job, mine, keys, body, context.clock(), later=context.helper_later
            )
        return self._show(mine, job_id, job)

    async def get_job(self, request: Request) -> Response:
        mine = await self._task(request)
        if request.query_params.get("step", "0") != "0":
            raise DapProblem("stepMismatch", "Prio3's jobs have step 0 only", task_id=mine.task.id)
        job_id = _resource_id(request, JOB_ID_SIZE)
        return self._show(mine, job_id, await run_in_threadpool(self._helper.find_job, mine, job_id))

    async def continue_job(self, request: Request) -> Response:
        """A VDAF of one round has nothing to continue (section 4.5.3.2)."""
        mine = await self._task(request)
        await run_in_threadpool(self._helper.find_job, mine, _resource_id(request, JOB_ID_SIZE))
        raise DapProblem("stepMismatch", "Prio3's jobs end with their first step", task_id=mine.task.id)

    async def delete_job(self, request: Request) -> Response:
        mine = await self._task(request)
        await run_in_threadpool(self._helper.delete_job, mine, _resource_id(request, JOB_ID_SIZE))
        return Response(status_code=200)

    async def create_share(self, request: Request) -> Response:
        mine = await self._task(request)
        with self._turns.taken():
            limits = self._context.limits
            body = await _body(request, SHARE_REQ, min(limits.request_bytes, _QUERY_BYTES), limits.body_seconds)
            share_id, share = await run_in_threadpool(self._helper.create_share, mine, body, self._context.clock())
        location = _location(mine.task, mine.task.helper_url, "aggregate_shares", share_id)
        return Response(share, headers={"Location": location, "Content-Type": SHARE})

    async def get_share(self, request: Request) -> Response:
        mine = await self._task(request)
        share = await run_in_threadpool(self._helper.find_share, mine, _resource_id(request, JOB_ID_SIZE))
        return Response(share, headers={"Content-Type": SHARE})

    async def delete_share(self, request: Request) -> Response:
        mine = await self._task(request)
        await run_in_threadpool(self._helper.delete_share, mine, _resource_id(request, JOB_ID_SIZE))
        return Response(status_code=200)

    async def _task(self, request: Request) -> AggregatorTask:
        mine = await _find_task(self._context, request.path_params["task"])
        _authenticate(request, mine, mine.secrets.peer_token)
        return mine

    def _show(self, mine: AggregatorTask, job_id: bytes, job: HelperJob) -> Response:
        location = _location(mine.task, mine.task.helper_url, "aggregation_jobs", job_id)
        if job.response is not None:
            return Response(job.response, headers={"Location": location, "Content-Type": JOB_RESP})
        if job.ended:
            raise DapProblem("unrecognizedAggregationJob", "this job was deleted", status=404)
        return Response(headers={"Location": f"{location}?step=0", "Retry-After": "1"})
