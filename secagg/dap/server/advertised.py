"""The task of a request that may advertise it (draft-ietf-ppm-dap-taskprov-04)."""

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ...errors import RemoteProtocolError
from ...http.base64url import base64url, from_base64url
from ..messages import TASK_ID_SIZE
from ..problems import DapProblem
from ..store.tasks import TaskRecord
from ..taskprov import HEADER, advertisement, derive_task_id, read_advertisement
from .common import Context, find_task, shown_token

_OUTCOMES = {HTTPStatus.BAD_REQUEST: "opted_out", HTTPStatus.UNAUTHORIZED: "unauthorized"}


async def find_advertised_task(context: Context, request: Request, *, opt_in: bool = True) -> TaskRecord:
    """The task that a request names, after opting into it if the request advertises it and it is new.

    Args:
        context: of the resource.
        request: with the path parameter `task`.
        opt_in: whether a new task may begin with this request; those of the Collector begin none (section 3.7.3).

    Raises:
        DapProblem: unrecognizedTask if there is no such task, or the request advertises another one; invalidTask if
            this Aggregator opts out of it; or see `find_task`.
    """
    # Without the header, or where it must be ignored, this is a request as any other.
    text, lines = request.path_params["task"], request.headers.getlist(HEADER)
    if context.opt_in is None or not lines:
        return await find_task(context, text)
    record = _as_known(context, text, lines)
    if record is not None:
        return record
    configuration = read_advertisement(lines)
    if configuration is None:
        return await find_task(context, text)

    # Sections 3.7.1 and 3.8: abort with unrecognizedTask if the task that the request names is another one.
    task_id = derive_task_id(configuration)
    if base64url(task_id) != text:
        raise DapProblem("unrecognizedTask", "the request names one task, and advertises another", status=404)

    # A task that is here is one that this Aggregator has opted into.
    directory = context.directory
    record = directory.remembered(task_id) or await run_in_threadpool(directory.task, task_id)
    if record is not None or not opt_in:
        return record or await find_task(context, text)

    # Otherwise opt in, or abort with invalidTask.
    try:
        record = await run_in_threadpool(context.opt_in.opt_in, configuration, shown_token(request), context.clock())
    except DapProblem as problem:
        context.metrics.opt_ins.labels(_OUTCOMES.get(HTTPStatus(problem.status), "busy")).inc()
        raise
    directory.remember(record)
    context.metrics.opt_ins.labels("opted_in").inc()
    return record


def _as_known(context: Context, text: str, lines: Sequence[str]) -> TaskRecord | None:
    """A task that is remembered, and advertised letter by letter as here: nothing needs to be decoded again."""
    with suppress(RemoteProtocolError):
        record = context.directory.remembered(from_base64url(text, TASK_ID_SIZE))
        if record is not None and list(advertisement(record.task).values()) == lines:
            return record
    return None
