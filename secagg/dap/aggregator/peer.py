"""The Helper as the Leader sees it, and behind HTTP."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from ...errors import SecAggError
from ..media_types import JOB_INIT_REQ, JOB_RESP, SHARE, SHARE_REQ
from ..problems import from_response, parse_retry_after
from ..store.tasks import AggregatorTask

MOST_BYTES = 1 << 26  # of an answer
MOST_SECONDS = 120.0  # for which an answer's content may drip
_WAITS = 0.1, 600.0  # seconds: the shortest and the longest, whatever the Helper asks for
_TEMPORARY = {408, 425, 429, 502, 503, 504}


class PeerUnavailable(SecAggError):
    """The Helper did not answer, or not as the draft has it. Trying again later may help.

    Attributes:
        retry_after: seconds, if the Helper has said so.
    """

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, repr=False)
class Answer:
    """What the Helper says of a resource.

    Attributes:
        body: its representation; None while it is not ready.
        location: where to ask for it.
        retry_after: seconds.
    """

    body: bytes | None
    location: str
    retry_after: float = 1.0


class Peer(Protocol):
    """The Helper, as the Leader sees it. Each call raises DapProblem or PeerUnavailable."""

    def create_job(self, mine: AggregatorTask, body: bytes) -> Answer: ...
    def poll_job(self, mine: AggregatorTask, location: str) -> Answer: ...
    def delete_job(self, mine: AggregatorTask, location: str) -> None: ...
    def create_share(self, mine: AggregatorTask, body: bytes) -> Answer: ...


class HttpPeer:
    """Sends the Leader's requests.

    Args:
        http: a client whose timeouts and certificates are set; it may be used by several threads.
        clock: POSIX seconds.
    """

    def __init__(self, http: httpx.Client, clock: Callable[[], float] = time.time) -> None:
        self._http = http
        self._clock = clock

    def create_job(self, mine: AggregatorTask, body: bytes) -> Answer:
        return self._create(mine, "aggregation_jobs", JOB_INIT_REQ, JOB_RESP, body)

    def poll_job(self, mine: AggregatorTask, location: str) -> Answer:
        return self._answer(self._send(mine, "GET", location), JOB_RESP, location)

    def delete_job(self, mine: AggregatorTask, location: str) -> None:
        self._send(mine, "DELETE", location)

    def create_share(self, mine: AggregatorTask, body: bytes) -> Answer:
        return self._create(mine, "aggregate_shares", SHARE_REQ, SHARE, body)

    def _create(self, mine: AggregatorTask, resource: str, media_type: str, answer_type: str, body: bytes) -> Answer:
        url = f"{mine.task.helper_url}/tasks/{mine.task.text}/{resource}"
        response = self._send(mine, "POST", url, {"Content-Type": media_type}, body)
        return self._answer(response, answer_type, _location(url, response.headers.get("location", "")))

    def _send(
        self, mine: AggregatorTask, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> "_Heard":
        token = mine.secrets.peer_token.decode("ascii")
        own = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity", **(headers or {})}
        try:
            with self._http.stream(method, url, content=body, headers=own) as response:
                content = _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerUnavailable(f"the Helper does not answer: {type(error).__name__}") from None
        if response.is_success:
            return _Heard(response.headers, content)
        problem = from_response(response.status_code, response.headers, content, self._clock())
        problem.retry_after = self._wait(response.headers)
        if response.is_client_error and response.status_code not in _TEMPORARY:
            raise problem
        raise PeerUnavailable(f"the Helper is busy or fails: {problem}", problem.retry_after)

    def _answer(self, heard: "_Heard", media_type: str, location: str) -> Answer:
        if not heard.content:
            wait = self._wait(heard.headers)
            return Answer(None, location, 1.0 if wait is None else wait)
        if heard.headers.get("content-type") != media_type:
            raise PeerUnavailable(f"the Helper's answer is not of type {media_type}")
        return Answer(heard.content, location)

    def _wait(self, headers: httpx.Headers) -> float | None:
        """Seconds that the Helper asks for, within reason."""
        asked = parse_retry_after(headers.get("retry-after"), self._clock())
        return None if asked is None else min(max(_WAITS[0], asked), _WAITS[1])


@dataclass(frozen=True, repr=False)
class _Heard:
    """A successful response."""

    headers: httpx.Headers
    content: bytes


def _location(url: str, given: str) -> str:
    """What the Helper says of where its answer is, at the Helper itself: our token goes nowhere else."""
    try:
        location = urljoin(url, given)
        elsewhere = urlsplit(location)[:2] != urlsplit(url)[:2]
    except ValueError:
        raise PeerUnavailable("the Helper sends us to what is no URL") from None
    if elsewhere:
        raise PeerUnavailable("the Helper sends us to another host")
    return location


def _read(response: httpx.Response) -> bytes:
    """The content, read no further than an answer can be long, and no longer."""
    parts, size, last = [], 0, time.monotonic() + MOST_SECONDS
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise PeerUnavailable("the Helper's answer is compressed, which we did not ask for")
    for part in response.iter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise PeerUnavailable(f"the Helper's answer is longer than {MOST_BYTES:,} bytes")
        if time.monotonic() > last:
            raise PeerUnavailable(f"the Helper's answer takes longer than {MOST_SECONDS:g} s")
        parts.append(part)
    return b"".join(parts)
