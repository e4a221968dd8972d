"""Problem documents (RFC 9457): how a DAP server states an error, and the one exception that stands for them."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from ..errors import RemoteProtocolError, SecAggError
from ..http.base64url import base64url, from_base64url
from ..http.problems import NO_TYPE, phrase, read_problem, without, write_problem
from .messages import TASK_ID_SIZE

URN = "urn:ietf:params:ppm:dap:error:"
WAITING = "Secagg-Waiting"  # a header of our own: what a job that is not ready waits for, in words
REFUSED = "Secagg-Refused"  # a header of our own: the collected batches of reports that are refused, in words
TITLES = {
    "invalidMessage": "A message could not be parsed or otherwise was invalid.",
    "unrecognizedTask": "The task ID is unknown.",
    "unrecognizedAggregationJob": "The aggregation job ID is unknown.",
    "batchInvalid": "The batch boundary check for the Collector's query failed.",
    "invalidBatchSize": "There are an invalid number of reports in the batch.",
    "invalidAggregationParameter": "The aggregation parameter assigned to a batch is invalid.",
    "batchMismatch": "Aggregators disagree on the report shares that were aggregated in a batch.",
    "stepMismatch": "The Aggregators disagree on the current step of the DAP aggregation protocol.",
    "batchOverlap": "The query includes reports that were previously collected in a different batch.",
    "unsupportedExtension": "An extensions list includes an unknown extension.",
    "invalidExtension": "An extensions list is out of order or contains an invalid extension encoding.",
    "invalidTask": "An Aggregator has opted out of the indicated task.",  # draft-ietf-ppm-dap-taskprov-04, section 2
    # These are DAP-09's, the first three for its upload path only.
    "outdatedConfig": "The report was sealed under an HPKE configuration that is not in use.",
    "reportRejected": "The report could not be processed.",
    "reportTooEarly": "The report's timestamp is too far in the future.",
    "unauthorizedRequest": "Authentication of an HTTP request failed.",
    "batchQueriedTooManyTimes": "The maximum number of batch queries has been exceeded for a report in the batch.",
    "missingTaskID": "HPKE configuration was requested without specifying a task ID.",
}
"""Section 3.6: the types in DAP's namespace. A server may send no others in it."""


class DapProblem(SecAggError):
    """A request failed: a server states it, or a client is told (section 3.6).

    Attributes:
        type: for an error of DAP the name after `urn:ietf:params:ppm:dap:error:`; otherwise a URI.
        status: the HTTP status, 400 to 599.
        detail: what is wrong and what to do; may be empty.
        task_id: 32 bytes, where the task is known.
        retry_after: the seconds after which to try again, if the server states them.
        members: extension members, such as `unsupported_extensions`.
    """

    def __init__(
        self,
        type: str,
        detail: str,
        *,
        status: int = HTTPStatus.BAD_REQUEST,
        task_id: bytes | None = None,
        retry_after: float | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{type}: {detail or _title(type, status)} (HTTP {int(status)})")
        self.type = type
        self.status = int(status)
        self.detail = detail
        self.task_id = task_id
        self.retry_after = retry_after
        self.members = members

    def __reduce__(self) -> Any:
        named = {"status": self.status, "task_id": self.task_id, "retry_after": self.retry_after, **self.members}
        return partial(DapProblem, **named), (self.type, self.detail)


def to_document(problem: DapProblem) -> bytes:
    """The body of a response of `http.problems.MEDIA_TYPE` (section 3.6); the caller sends status and Retry-After.

    Args:
        problem: what went wrong.
    """
    members = {"taskid": None if problem.task_id is None else base64url(problem.task_id), **problem.members}
    kind = URN + problem.type if problem.type in TITLES else problem.type
    return write_problem(kind, _title(problem.type, problem.status), problem.status, problem.detail, members)


def from_response(status: int, headers: Mapping[str, str], body: bytes, now: float) -> DapProblem:
    """The problem that an unsuccessful response states; any bytes give one.

    Args:
        status: the response's, of HTTP.
        headers: the response's, by name in lower case, or in a mapping that ignores case.
        body: the response's content.
        now: POSIX seconds, for a Retry-After that is a date.
    """
    stated = read_problem(headers, body, now)
    return DapProblem(
        stated.type.removeprefix(URN) or NO_TYPE,
        stated.detail,
        status=status,
        task_id=_task_id(stated.members.get("taskid")),
        retry_after=stated.retry_after,
        **without(stated.members, _RESERVED),
    )


_RESERVED = {"taskid", "self", "retry_after", "task_id"}  # the last three are names of DapProblem's own arguments


def _task_id(text: object) -> bytes | None:
    try:
        return from_base64url(text, TASK_ID_SIZE) if isinstance(text, str) else None
    except RemoteProtocolError:
        return None


def _title(kind: str, status: int) -> str:
    return TITLES.get(kind) or phrase(status)
