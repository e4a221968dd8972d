"""How Clients and the Collector ask the Aggregators, and the errors that answers stand for."""

from collections.abc import Callable

from ...errors import RemoteProtocolError
from ...http import steps
from ...http.steps import Busy, Request, Response, Retries, Steps
from ..media_types import is_media_type
from ..problems import DapProblem, from_response


def send(request: Request, *, clock: Callable[[], float], retries: Retries) -> Steps[Response]:
    """`http.steps.send`, whose error for a server that stays busy is the DapProblem that it sent.

    Args:
        request: what to send.
        clock: POSIX seconds.
        retries: how often and how patiently.

    Raises:
        DapProblem: the server stays busy.
        Unreachable: no answer came.
        RemoteProtocolError: an answer is longer or slower than the request allows, or is compressed.
    """
    try:
        return (yield from steps.send(request, clock=clock, retries=retries))
    except Busy as busy:
        raise problem(busy.response, clock()) from None


def problem(response: Response, now: float) -> DapProblem:
    """The problem that an unsuccessful response states (section 3.6).

    Args:
        response: the answer.
        now: POSIX seconds.
    """
    return from_response(response.status, response.headers, response.content, now)


def require_success(response: Response, now: float) -> None:
    """Check that an answer is successful.

    Args:
        response: the answer.
        now: POSIX seconds.

    Raises:
        DapProblem: the answer is an error.
        RemoteProtocolError: the answer is a redirection.
    """
    if 300 <= response.status < 400:
        raise RemoteProtocolError(f"a server redirects us (HTTP {response.status}): put its final URL into the task")
    if not response.successful:
        raise problem(response, now)


def require_media_type(response: Response, wanted: str, tag: bytes) -> None:
    """Check an answer's media type, however it is spelled.

    Args:
        response: the answer.
        wanted: the media type.
        tag: of the draft, whose number the media type may name.

    Raises:
        RemoteProtocolError: the answer is of another type.
    """
    given = response.headers.get("content-type", "")
    if not is_media_type(given, wanted, tag):
        content_type = "".join(c if c.isprintable() else "?" for c in given[:100])
        raise RemoteProtocolError(
            f"an answer of type {wanted} expected, got {content_type!r}: is the URL in the task right?"
        )
