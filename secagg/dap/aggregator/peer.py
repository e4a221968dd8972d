"""The Helper as the Leader sees it, and as it is over HTTP."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urljoin

import httpx

from ...errors import RemoteProtocolError, SecAggError
from ...http.base64url import base64url
from ...http.semantics import TEMPORARY, parse_retry_after, same_origin
from ...http.steps import Failure, Request, Response, perform
from ..media_types import is_media_type
from ..problems import from_response
from ..secrets import token_header
from ..store.tasks import TaskRecord
from ..taskprov import advertisement

MAX_BYTES = 1 << 26  # of an answer, beside an aggregate share
MAX_SECONDS = 120.0  # that an answer's content may take
_WAITS = 0.1, 600.0  # seconds: the shortest and the longest, whatever the Helper asks for


class PeerUnavailable(SecAggError):
    """The Helper did not answer, or not as the draft requires. Trying again later may help.

    Attributes:
        retry_after: seconds, if the Helper has stated them.
        kind: for the metrics, "unreachable", "busy", "wrong answer" or "resting".
    """

    def __init__(self, reason: str, retry_after: float | None = None, *, kind: str = "wrong answer") -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.kind = kind


@dataclass(frozen=True, repr=False)
class Answer:
    """What the Helper says of a resource.

    Attributes:
        body: its representation; None while it is not ready.
        location: where to ask for it.
        retry_after: seconds until it may be ready.
    """

    body: bytes | None
    location: str
    retry_after: float = 1.0


class Peer(Protocol):
    """The Helper, as the Leader sees it. Each call raises DapProblem or PeerUnavailable."""

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        """Begin an aggregation job (section 4.5.3.1).

        Args:
            record: the task.
            body: the encoded AggregationJobInitReq.
            job_id: 16 bytes, for a dialect in which the Leader chooses them; the same for the same job.
        """

    def poll_job(self, record: TaskRecord, location: str) -> Answer:
        """Ask for the answer to an aggregation job (section 3.1).

        Args:
            record: the task.
            location: where the Helper keeps the job.
        """

    def delete_job(self, record: TaskRecord, location: str) -> None:
        """Delete an aggregation job (section 4.5.5).

        Args:
            record: the task.
            location: where the Helper keeps the job.
        """

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        """Ask for an aggregate share (section 4.6.4).

        Args:
            record: the task.
            body: the encoded AggregateShareReq.
        """

    def poll_share(self, record: TaskRecord, location: str) -> Answer:
        """Ask for an aggregate share that was not ready (section 3.1).

        Args:
            record: the task.
            location: where the Helper keeps the share.
        """


class HttpPeer:
    """Sends the Leader's requests over HTTP.

    Args:
        http: a client whose timeouts and certificates are set; several threads may use it.
        clock: POSIX seconds.
    """

    def __init__(self, http: httpx.Client, clock: Callable[[], float] = time.time) -> None:
        self._http = http
        self._clock = clock

    def create_job(self, record: TaskRecord, body: bytes, job_id: bytes) -> Answer:
        """See `Peer.create_job`."""
        resources, url = record.task.dialect.resources, f"{_url(record)}/aggregation_jobs"
        named = {"Content-Type": resources.media_types.job_init_req}
        if not resources.chosen_ids:
            return self._created(record, self._send(record, "POST", url, named, body), url, _job_resp(record))
        url = f"{url}/{base64url(job_id)}"
        return self._answer(record, self._send(record, "PUT", url, named, body), _job_resp(record), url)

    def poll_job(self, record: TaskRecord, location: str) -> Answer:
        """See `Peer.poll_job`."""
        return self._answer(record, self._send(record, "GET", location), _job_resp(record), location)

    def delete_job(self, record: TaskRecord, location: str) -> None:
        """See `Peer.delete_job`."""
        self._send(record, "DELETE", location)

    def create_share(self, record: TaskRecord, body: bytes) -> Answer:
        """See `Peer.create_share`."""
        types, url = record.task.dialect.resources.media_types, f"{_url(record)}/aggregate_shares"
        response = self._send(record, "POST", url, {"Content-Type": types.share_req}, body)
        return self._created(record, response, url, types.share)

    def poll_share(self, record: TaskRecord, location: str) -> Answer:
        """See `Peer.poll_share`."""
        share = record.task.dialect.resources.media_types.share
        return self._answer(record, self._send(record, "GET", location), share, location)

    def _created(self, record: TaskRecord, response: Response, url: str, media_type: str) -> Answer:
        """The answer to a POST to `url`, which says where the new resource is."""
        return self._answer(record, response, media_type, _location(url, response.headers.get("location", "")))

    def _send(
        self, record: TaskRecord, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Response:
        token = token_header(record.secrets.peer_token.decode("ascii"))
        own = {**token, **advertisement(record.task), **(headers or {})}
        max_bytes = MAX_BYTES + record.task.prio3.OUT_SHARE_SIZE  # an aggregate share may be of any length
        reply = perform(self._http, Request(method, url, own, body, max_bytes, MAX_SECONDS))
        if isinstance(reply, Failure):
            raise PeerUnavailable(f"the Helper does not answer: {reply.kind}", kind="unreachable")
        if isinstance(reply, RemoteProtocolError):
            raise PeerUnavailable(f"the Helper does not answer as it should: {reply.reason}")
        if reply.successful:
            return reply
        problem = from_response(reply.status, reply.headers, reply.content, self._clock())
        problem.retry_after = self._wait(reply.headers)
        if 400 <= reply.status < 500 and reply.status not in TEMPORARY:
            raise problem
        raise PeerUnavailable(f"the Helper is busy or fails: {problem}", problem.retry_after, kind="busy")

    def _answer(self, record: TaskRecord, response: Response, media_type: str, location: str) -> Answer:
        if not response.content and not record.task.dialect.resources.helper_waits:
            raise PeerUnavailable("the Helper's answer is empty, and this task's Helper must answer at once")
        if not response.content:
            wait = self._wait(response.headers)
            return Answer(None, location, 1.0 if wait is None else wait)
        content_type = response.headers.get("content-type", "")
        if not is_media_type(content_type, media_type, record.task.dialect.aggregators_tag):
            raise PeerUnavailable(f"the Helper's answer is not of type {media_type}")
        return Answer(response.content, location)

    def _wait(self, headers: Mapping[str, str]) -> float | None:
        """The seconds that the Helper asks for, bounded on both sides; None if it asks for none."""
        asked = parse_retry_after(headers.get("retry-after"), self._clock())
        return None if asked is None else min(max(_WAITS[0], asked), _WAITS[1])


def _url(record: TaskRecord) -> str:
    return f"{record.task.helper_url}/tasks/{record.task.text}"


def _job_resp(record: TaskRecord) -> str:
    return record.task.dialect.resources.media_types.job_resp


def _location(url: str, given: str) -> str:
    """The absolute URL of a Location. It must be on the same host: our token goes nowhere else."""
    try:
        location = urljoin(url, given)
        elsewhere = not same_origin(location, url)
    except ValueError:
        raise PeerUnavailable("the Helper's Location is not a URL") from None
    if elsewhere:
        raise PeerUnavailable("the Helper's Location is on another host")
    return location
