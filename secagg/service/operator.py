"""The operator's side of a coordinator: sessions made, looked at, read and aborted, over HTTP."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
from numpy.typing import NDArray

from ..errors import RemoteProtocolError
from ..http.base64url import from_base64url
from ..http.steps import Request, Response, Retries, Steps, Wait, run, send
from ..http.urls import ServerUrl
from ..protocol.params import Params
from .authentication import bearer
from .problems import NAME_TAKEN, UNFINISHED, ServiceProblem, from_response
from .resources import (
    JSON,
    SESSIONS,
    Fields,
    Listed,
    ResultForm,
    abort_path,
    result_path,
    session_path,
    sum_path,
)
from .sums import read_sum, sum_bytes

LIST_BYTES = 1 << 26
STATUS_BYTES = 1 << 28  # ids of a million users, several times
WAIT_SECONDS = 1.0
NAME_BYTES = 5  # of a session that nobody has named

_RETRIES = Retries(attempts=4, longest=10.0)


class Operator:
    """Asks a coordinator for what only its operator may. Methods block.

    Args:
        url: the coordinator's.
        token: the operator's.
        http: sends requests.
        clock: POSIX seconds.
        sleep: waits for a number of seconds.

    Every method raises:
        ServiceProblem: the coordinator refuses.
        Unreachable, Busy: it does not answer, or is busy for long.
        RemoteProtocolError: its answer is none.
    """

    def __init__(
        self,
        url: ServerUrl,
        token: str,
        http: httpx.Client,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = url.base
        self._headers = {"Authorization": bearer(token)}
        self._http = http
        self._clock = clock
        self._sleep = sleep

    def start(self, members: dict[str, Any]) -> dict[str, Any]:
        """Make a session.

        Args:
            members: as docs/service.md names them.

        Returns:
            Its status, with the URL to give to participants.
        """
        # The name is ours: a session that an attempt made whose answer was lost is found by it.
        members = {"name": secrets.token_hex(NAME_BYTES), **members}
        response = self._sent("POST", SESSIONS, json.dumps(members).encode())
        if response.successful:
            return _object(response)
        problem = self._problem(response)
        if problem.type == NAME_TAKEN and response.doubtful:
            made = self.status(members["name"])
            if _is_made_of(made, members):
                return made
        raise problem

    def sessions(self) -> list[Listed]:
        """All sessions, the latest first."""
        document = _object(self._ask("GET", SESSIONS, max_bytes=LIST_BYTES))
        return [Listed.from_json(each) for each in Fields(document, "the list of sessions").array("sessions")]

    def status(self, session: str) -> dict[str, Any]:
        """How a session stands.

        Args:
            session: its name.
        """
        return _object(self._ask("GET", session_path(session), max_bytes=STATUS_BYTES))

    def abort(self, session: str, reason: str) -> dict[str, Any]:
        """End a session without a sum.

        Args:
            session: its name.
            reason: a sentence that everybody is told.
        """
        content = json.dumps({"reason": reason}).encode()
        return _object(self._ask("POST", abort_path(session), content, max_bytes=STATUS_BYTES))

    def result(self, session: str, *, wait: bool = False) -> ResultForm:
        """What is known of the sum.

        Args:
            session: its name.
            wait: whether to wait until there is one; otherwise a session that has none raises `ServiceProblem`.
        """
        response = run(self._http, self._until_finished(session, wait), self._sleep)
        return ResultForm.from_json(_object(response))

    def _until_finished(self, session: str, wait: bool) -> Steps[Response]:
        while True:
            response = yield from send(
                self._request("GET", result_path(session), max_bytes=STATUS_BYTES), clock=self._clock, retries=_RETRIES
            )
            if response.successful:
                return response
            problem = self._problem(response)
            if problem.type != UNFINISHED or not wait:
                raise problem
            yield Wait(max(WAIT_SECONDS, problem.retry_after or 0.0))

    def sum(self, form: ResultForm) -> NDArray[Any]:
        """The sum, whose hash is the one that was stated.

        Args:
            form: what `result` gave.
        """
        content = self._ask("GET", sum_path(form.session), max_bytes=sum_bytes(form)).content
        return read_sum(content, form)

    def _ask(self, method: str, path: str, content: bytes = b"", *, max_bytes: int = 1 << 20) -> Response:
        response = self._sent(method, path, content, max_bytes=max_bytes)
        if not response.successful:
            raise self._problem(response)
        return response

    def _sent(self, method: str, path: str, content: bytes = b"", *, max_bytes: int = 1 << 20) -> Response:
        request = self._request(method, path, content, max_bytes=max_bytes)
        return run(self._http, send(request, clock=self._clock, retries=_RETRIES), self._sleep)

    def _problem(self, response: Response) -> ServiceProblem:
        return from_response(response.status, response.headers, response.content, self._clock())

    def _request(self, method: str, path: str, content: bytes = b"", *, max_bytes: int) -> Request:
        headers = {**self._headers, "Content-Type": JSON} if content else self._headers
        return Request(method, self._base + path, headers, content, max_bytes)


def _object(response: Response) -> dict[str, Any]:
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RemoteProtocolError("the coordinator's answer is no JSON object: is the URL right?")
    return document


def _is_made_of(status: dict[str, Any], members: dict[str, Any]) -> bool:
    """Whether a session has what an operator has asked for, as far as its status says."""
    asked = dict(members)
    if "params" in asked:
        params = Params.decode(from_base64url(asked.pop("params")))
        model = params.model.name.lower().replace("_", "-")
        asked.update(n=params.n, length=params.m, modulus=params.modulus, model=model, t=params.t)
    told = {**status, **status.get("deadlines", {}), "t": status.get("threshold")}
    told.pop("name", None)
    return all(_holds(value, told[name]) for name, value in asked.items() if name in told and value is not None)


def _holds(asked: Any, told: Any) -> bool:
    """Whether a value is the one that was asked for; of a mapping, only what was named."""
    if isinstance(asked, dict) and isinstance(told, dict):
        return all(told.get(name) == value for name, value in asked.items())
    return bool(asked == told)
