"""Problem documents (RFC 9457): how a DAP server states an error, and the one exception that stands for them."""

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from ..errors import RemoteProtocolError, SecAggError
from ..http.base64url import base64url, from_base64url
from ..http.semantics import parse_media_type, parse_retry_after
from .messages import TASK_ID_SIZE

URN = "urn:ietf:params:ppm:dap:error:"
MEDIA_TYPE = "application/problem+json"
WAITING = "Secagg-Waiting"  # a header of our own: what a job that is not ready waits for, in words
REFUSED = "Secagg-Refused"  # a header of our own: the collected batches of reports that are refused, in words
NO_TYPE = "about:blank"  # nothing is known beyond the status
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
    # These three are DAP-09's, for its upload path only.
    "outdatedConfig": "The report was sealed under an HPKE configuration that is not in use.",
    "reportRejected": "The report could not be processed.",
    "reportTooEarly": "The report's timestamp is too far in the future.",
}
"""Section 3.6: the types in DAP's namespace. A server may send no others in it."""

_LONGEST_BODY = 1 << 16
_LONGEST_TEXT = 2000  # characters of a peer's text that are shown
_STANDARD = {"type", "title", "status", "detail", "instance", "taskid"}


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
    """The body of a response with MEDIA_TYPE (section 3.6); the caller sends status and Retry-After.

    Args:
        problem: what went wrong.
    """
    document = {
        "type": URN + problem.type if problem.type in TITLES else problem.type,
        "title": _title(problem.type, problem.status),
        "status": problem.status,
        "detail": problem.detail or None,
        "taskid": None if problem.task_id is None else base64url(problem.task_id),
        **problem.members,
    }
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def from_response(status: int, headers: Mapping[str, str], body: bytes, now: float) -> DapProblem:
    """The problem that an unsuccessful response states; any bytes give one.

    Args:
        status: the response's, of HTTP.
        headers: the response's, by name in lower case, or in a mapping that ignores case.
        body: the response's content.
        now: POSIX seconds, for a Retry-After that is a date.
    """
    document = _document(headers.get("content-type", ""), body)
    given = document.get("type")
    kind = given if isinstance(given, str) and given else NO_TYPE
    detail = next((text for text in map(document.get, ("detail", "title")) if isinstance(text, str) and text), "")
    members = {name: value for name, value in document.items() if name not in _STANDARD | _RESERVED}
    return DapProblem(
        printable(kind.removeprefix(URN)) or NO_TYPE,
        printable(detail),
        status=status,
        task_id=_task_id(document.get("taskid")),
        retry_after=parse_retry_after(headers.get("retry-after"), now),
        **members,
    )


_RESERVED = {"self", "retry_after", "task_id"}  # names of DapProblem's own arguments


def _document(content_type: str, body: bytes) -> dict[str, Any]:
    """The problem document of a body; empty if the body is none."""
    media_type = parse_media_type(content_type)
    if media_type is None or media_type[0] != MEDIA_TYPE or len(body) > _LONGEST_BODY:
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _task_id(text: object) -> bytes | None:
    try:
        return from_base64url(text, TASK_ID_SIZE) if isinstance(text, str) else None
    except RemoteProtocolError:
        return None


def _title(kind: str, status: int) -> str:
    if kind in TITLES:
        return TITLES[kind]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown status"


def printable(text: str) -> str:
    """A peer's text without control characters, which would reach a terminal, and cut at 2,000 characters.

    Args:
        text: what the peer sent.
    """
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST_TEXT])
