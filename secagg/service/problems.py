"""What goes wrong between coordinator and participants, as problem documents (RFC 9457): a type for each refusal."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from ..arguments import optional, real, whole
from ..errors import RemoteProtocolError, SecAggError
from ..http.problems import NO_TYPE, phrase, read_problem, write_problem
from .refusals import Kind, Refused

URN = "urn:secagg:service:problem:"

UNAUTHENTICATED, FORBIDDEN, NAME_TAKEN = "unauthenticated", "forbidden", "name-taken"
NO_SESSION = str(Kind.NO_SESSION)
MALFORMED, OTHER_CONTENT, UNFINISHED, ONE_AT_A_TIME = "malformed", "other-content", "unfinished", "one-at-a-time"
TOO_LONG, TOO_SLOW, OTHER_TYPE, WRONG_TOKENS = "too-long", "too-slow", "other-type", "wrong-tokens"
NO_RESOURCE, OTHER_METHOD, INTERNAL = "no-resource", "other-method", "internal"

_OF_PARTICIPANTS = {
    Kind.NOT_INVITED: (403, "The session does not know the participant."),
    Kind.NO_SESSION: (404, "There is no such session."),
    Kind.LATE: (410, "The round has ended without the participant, who is out of the session."),
    Kind.NOT_NEEDED: (410, "Enough others have answered: the participant is out, and nothing of it is revealed."),
    Kind.OTHER_ANSWER: (409, "Another answer of the participant to this round stands."),
    Kind.FAULTY: (410, "The protocol refused a message of the participant, who is out of the session."),
    Kind.STRAY: (422, "The message is not proven to be the participant's, who can still answer."),
    Kind.ABORTED: (410, "The session has ended without a sum."),
    Kind.OVER: (410, "The session is over, and its result is kept no longer."),
    Kind.EARLY: (409, "The round has not begun."),
    Kind.FULL: (410, "All places of the session are taken."),
    Kind.BUSY: (503, "The coordinator is busy."),
    Kind.LEFT: (410, "The participant has left the session."),
}
_OTHERS = {
    UNAUTHENTICATED: (401, "The request does not show who sends it, or its nonce does not serve."),
    FORBIDDEN: (403, "The signature or token is not that of somebody who may do this."),
    NAME_TAKEN: (409, "There is a session of this name."),
    MALFORMED: (400, "The request is malformed."),
    OTHER_CONTENT: (400, "The content is not the one that Content-Digest states."),
    UNFINISHED: (404, "The session has no result yet."),
    ONE_AT_A_TIME: (429, "A request of this user is being worked on."),
    NO_RESOURCE: (404, "There is no such resource."),
    OTHER_METHOD: (405, "The resource does not take this method."),
    TOO_SLOW: (408, "The content did not come fast enough."),
    TOO_LONG: (413, "The content is longer than it can be."),
    OTHER_TYPE: (415, "The content is of another media type, or compressed."),
    WRONG_TOKENS: (429, "Too many wrong tokens came from there."),
    INTERNAL: (500, "The coordinator has failed; its log says why."),
}

TYPES: Mapping[str, tuple[int, str]] = {**{str(kind): entry for kind, entry in _OF_PARTICIPANTS.items()}, **_OTHERS}
"""By the name after URN: the status, and what it means."""

_BY_STATUS = {404: NO_RESOURCE, 405: OTHER_METHOD, 408: TOO_SLOW, 413: TOO_LONG, 503: str(Kind.BUSY)}


class ServiceProblem(SecAggError):
    """A request failed: the coordinator states it, or a participant or operator is told.

    Args:
        type: one of TYPES, or NO_TYPE, or another URI.
        detail: what is wrong and what to do; may be empty.
        status: of HTTP; None for the one that belongs to the type.
        retry_after: the seconds after which to try again; None if that does not help.

    Attributes:
        type: as above.
        detail: as above.
        status: of HTTP.
        retry_after: as above.
    """

    def __init__(self, type: str, detail: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        code, title = TYPES.get(type, (HTTPStatus.BAD_REQUEST, ""))
        self.type = type
        self.status = code if status is None else whole(status, "status")
        self.title = title or phrase(self.status)
        self.detail = detail
        self.retry_after = optional(real)(retry_after, "retry_after")
        super().__init__(detail or f"{self.title} (HTTP {self.status})")

    def __reduce__(self) -> Any:
        return partial(ServiceProblem, status=self.status, retry_after=self.retry_after), (self.type, self.detail)


def of_refusal(refused: Refused) -> ServiceProblem:
    """The problem that tells a participant of a refusal.

    Args:
        refused: by the session.
    """
    return ServiceProblem(str(refused.kind), refused.detail, retry_after=refused.retry_after)


def of_status(status: int, detail: str, retry_after: float | None = None) -> ServiceProblem:
    """The problem that a status says, where the server refuses a request before the session sees it.

    Args:
        status: of HTTP: 404, 405, 408, 413 or 503; others have no type.
        detail: what is wrong and what to do.
        retry_after: the seconds after which to try again; None if that does not help.
    """
    return ServiceProblem(_BY_STATUS.get(status, NO_TYPE), detail, status=status, retry_after=retry_after)


def to_document(problem: ServiceProblem) -> bytes:
    """The body of a response; the caller sends status, media type and Retry-After.

    Args:
        problem: what went wrong.
    """
    kind = URN + problem.type if problem.type in TYPES else problem.type
    return write_problem(kind, problem.title, problem.status, problem.detail, {})


def from_response(status: int, headers: Mapping[str, str], body: bytes, now: float) -> ServiceProblem:
    """The problem that an unsuccessful response states; any bytes give one.

    Args:
        status: the response's, of HTTP.
        headers: the response's, by name in lower case, or in a mapping that ignores case.
        body: the response's content.
        now: POSIX seconds, for a Retry-After that is a date.
    """
    stated = read_problem(headers, body, now)
    kind = stated.type.removeprefix(URN) or NO_TYPE
    return ServiceProblem(kind, stated.detail, status=status, retry_after=stated.retry_after)


def refusal(status: int, headers: Mapping[str, str], body: bytes, now: float) -> SecAggError:
    """What a participant raises for an unsuccessful response: a `Refused` if the session refuses it, otherwise a
    `RemoteProtocolError`.

    Args:
        status: the response's, of HTTP.
        headers: the response's, by name in lower case, or in a mapping that ignores case.
        body: the response's content.
        now: POSIX seconds.
    """
    problem = from_response(status, headers, body, now)
    if problem.type in set(Kind):
        kind = Kind(problem.type)
        return Refused(kind, problem.detail or TYPES[kind][1], problem.retry_after)
    return RemoteProtocolError(f"the coordinator refuses a request (HTTP {status}): {problem.detail or problem.title}")
