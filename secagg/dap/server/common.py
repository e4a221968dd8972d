"""What the resources of both Aggregators have in common: problem documents, tokens and bounded bodies."""

import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ...errors import RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ...http.bodies import Bodies, Disconnected, Refusal
from ...http.bounds import Bounds
from ...http.problems import MEDIA_TYPE, NO_TYPE, problem_headers
from ..aggregator.directory import Directory
from ..aggregator.opt_in import OptIn
from ..media_types import is_media_type
from ..messages import TASK_ID_SIZE
from ..metrics import Metrics
from ..problems import DapProblem, to_document
from ..secrets import token_matches
from ..store.engine import StoreUnavailable
from ..store.tasks import TaskRecord
from ..task import Task
from .limits import Limits, UploadQueueFull

QUERY_BYTES = 1 << 17  # of a request about a batch

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(repr=False)
class Context:
    """What every resource needs.

    Attributes:
        directory: tasks and keys.
        metrics: counts what is done.
        limits: how much one process accepts.
        bodies: reads requests' contents.
        clock: POSIX seconds.
        metrics_here: whether `/metrics` and `/healthz/detail` are resources of the Aggregator, and not on an address of
            their own.
        health: how the Aggregator is in detail, for `/healthz/detail`; None to do without.
        helper_later: whether the Helper answers aggregation jobs when they are polled, and not at once.
        opt_in: decides about tasks that are advertised; None where such headers are ignored.
    """

    directory: Directory
    metrics: Metrics = field(default_factory=Metrics)
    limits: Limits = field(default_factory=Limits)
    bodies: Bodies = field(default_factory=lambda: Bodies(Bounds()))
    clock: Callable[[], float] = time.time
    helper_later: bool = False
    metrics_here: bool = True
    health: Callable[[], dict[str, Any]] | None = None
    opt_in: OptIn | None = None


def answering(context: Context, name: str, endpoint: Endpoint) -> Endpoint:
    """An endpoint that turns what is raised on purpose into a problem document (section 3.6), and counts requests.

    Args:
        context: of the resource.
        name: of the resource, for the metrics.
        endpoint: answers a request or raises.
    """

    seconds = context.metrics.request_seconds.labels(name)
    counted = lru_cache(lambda status: context.metrics.requests.labels(name, str(status)))

    async def answer(request: Request) -> Response:
        started = time.perf_counter()
        try:
            response = await endpoint(request)
        except DapProblem as problem:
            response = problem_response(_of_task(problem, request))
        except (UploadQueueFull, StoreUnavailable) as error:
            log.warning("%s: %s", name, error)
            response = problem_response(DapProblem(NO_TYPE, "busy; try again later", status=503, retry_after=1))
        except Refusal as refusal:
            refused = DapProblem(NO_TYPE, str(refusal), status=refusal.status, retry_after=refusal.retry_after)
            response = problem_response(_of_task(refused, request))
        except Disconnected:
            response = Response(status_code=499)
        except Exception:
            log.exception("%s failed", name)
            response = problem_response(DapProblem(NO_TYPE, "internal error; see the server's log", status=500))
        seconds.observe(time.perf_counter() - started)
        counted(response.status_code).inc()
        return response

    return answer


def _of_task(problem: DapProblem, request: Request) -> DapProblem:
    """The same problem, with the task that the request names (section 3.6)."""
    if problem.task_id is None:
        with suppress(RemoteProtocolError):
            problem.task_id = from_base64url(request.path_params.get("task", ""), TASK_ID_SIZE)
    return problem


def require_method(request: Request, methods: Collection[str]) -> None:
    """Check that a resource has the request's method in the dialect of its task.

    Args:
        request: of a task that is known.
        methods: that it has.

    Raises:
        DapProblem: it has not.
    """
    if request.method.replace("HEAD", "GET") not in methods:
        allowed = ", ".join(methods)
        detail = f"in this task's dialect this resource takes {allowed}"
        raise DapProblem(NO_TYPE, detail, status=405, allow=allowed)


def require_shared(task: Task) -> None:
    """Check that jobs are begun at the resource that all of them share, and not each at its own.

    Args:
        task: of the job.

    Raises:
        DapProblem: there is no such resource in the dialect of the task.
    """
    if task.dialect.resources.chosen_ids:
        raise DapProblem(NO_TYPE, "in this task's dialect, PUT a job under an ID of your choice", status=404)


def problem_response(problem: DapProblem) -> Response:
    """A problem document as a response, with the headers that belong to it.

    Args:
        problem: what went wrong.
    """
    headers = problem_headers(problem.status, problem.retry_after, "Bearer")
    if problem.status == 405 and "allow" in problem.members:
        headers["Allow"] = problem.members["allow"]  # RFC 9110, section 15.5.6
    return Response(to_document(problem), problem.status, headers, MEDIA_TYPE)


async def no_resource(request: Request, error: Exception) -> Response:
    """404 and 405 as problem documents.

    Args:
        request: of anybody.
        error: Starlette's.
    """
    assert isinstance(error, HTTPException)
    detail = "there is no such resource" if error.status_code == HTTPStatus.NOT_FOUND else error.detail
    response = problem_response(DapProblem(NO_TYPE, detail, status=error.status_code))
    response.headers.update(error.headers or {})
    return response


async def find_task(context: Context, text: str) -> TaskRecord:
    """The task that a request names.

    Args:
        context: of the resource.
        text: the task ID as it stands in the URL.

    Raises:
        DapProblem: invalidMessage if it is no ID, unrecognizedTask if there is no such task.
    """
    try:
        task_id = from_base64url(text, TASK_ID_SIZE)
    except RemoteProtocolError:
        raise DapProblem("invalidMessage", "a task ID must be URL-safe base64 of 32 bytes") from None
    record = context.directory.remembered(task_id) or await run_in_threadpool(context.directory.task, task_id)
    if record is None:
        raise DapProblem("unrecognizedTask", "there is no such task here", status=404, task_id=task_id)
    return record


def resource_id(request: Request, size: int) -> bytes:
    """The ID in a resource's URL.

    Args:
        request: with the path parameter `resource`.
        size: bytes of such an ID.

    Raises:
        DapProblem: there cannot be such a resource.
    """
    try:
        return from_base64url(request.path_params["resource"], size)
    except RemoteProtocolError:
        raise DapProblem(NO_TYPE, "there is no such resource", status=404) from None


def location(task: Task, endpoint: str, resource: str, number: bytes) -> str:
    """Where a resource is, under the endpoint's own path, which a proxy in front of us may have removed.

    Args:
        task: of the resource.
        endpoint: this Aggregator's URL.
        resource: the kind of resource, such as `collection_jobs`.
        number: the resource's ID.
    """
    return f"{urlsplit(endpoint).path}/tasks/{task.text}/{resource}/{base64url(number)}"


@asynccontextmanager
async def request_body(
    context: Context, request: Request, media_type: str, tag: bytes, max_bytes: int
) -> AsyncIterator[bytes]:
    """The request's content, which counts among the buffered bytes until the block is left.

    Args:
        context: of the resource.
        request: whose content was not read yet.
        media_type: that the content must have.
        tag: of the draft, whose number the media type may name.
        max_bytes: the largest size.

    Raises:
        DapProblem: the content is of another type, or encoded.
        Refusal: it is too long or too slow, or there is no room for it now.
        Disconnected: the peer went away.
    """
    if not is_media_type(request.headers.get("content-type", ""), media_type, tag):
        raise DapProblem(NO_TYPE, f"Content-Type must be {media_type}", status=415)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise DapProblem(NO_TYPE, "a request's content must not be compressed", status=415)
    async with context.bodies.read(request.scope, request.receive, max_bytes) as content:
        yield content


def shown_token(request: Request) -> bytes | None:
    """The token that a request shows, in either of two headers (section 3.5); None if it shows none.

    Args:
        request: of anybody.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    token = credentials.strip() if scheme.lower() == "bearer" else request.headers.get("dap-auth-token")
    return None if token is None else token.encode()


def authenticate(context: Context, request: Request, record: TaskRecord) -> None:
    """Check that the request shows a token that is accepted, in either of two headers (section 3.5).

    Args:
        context: of the resource.
        request: at the Helper the Leader's, at the Leader the Collector's.
        record: the task.

    Raises:
        DapProblem: the request shows no token, or another one.
    """
    shown = shown_token(request)
    if True not in [token_matches(shown, accepted) for accepted in record.accepted(context.clock())]:
        detail = "send the task's token as 'Authorization: Bearer ...' or 'DAP-Auth-Token: ...'"
        raise DapProblem(record.task.dialect.resources.unauthorized, detail, status=401, task_id=record.task.id)


def stored_problem(document: str, headers: dict[str, str]) -> Response:
    """The problem that ended a job, as it was stored.

    Args:
        document: the problem document.
        headers: to send with it.
    """
    return Response(document, int(json.loads(document)["status"]), headers, MEDIA_TYPE)
