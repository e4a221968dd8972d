"""The Helper behind HTTP, for the Leader."""

import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import httpx

from .leader import Answer, PeerUnavailable
from .problems import DapProblem, from_response, parse_retry_after
from .store.tasks import AggregatorTask

JOB_INIT_REQ = "application/ppm-dap;message=aggregation-job-init-req"
JOB_RESP = "application/ppm-dap;message=aggregation-job-resp"
SHARE_REQ = "application/ppm-dap;message=aggregate-share-req"
SHARE = "application/ppm-dap;message=aggregate-share"
_TEMPORARY = {408, 425, 429, 502, 503, 504}


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
        location = urljoin(url, response.headers.get("location", ""))
        if urlsplit(location)[:2] != urlsplit(url)[:2]:  # our token goes nowhere else
            raise PeerUnavailable("the Helper sends us to another host")
        return self._answer(response, answer_type, location)

    def _send(
        self, mine: AggregatorTask, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> httpx.Response:
        token = mine.secrets.peer_token.decode("ascii")
        try:
            response = self._http.request(
                method, url, content=body, headers={"Authorization": f"Bearer {token}", **(headers or {})}
            )
        except httpx.HTTPError as error:
            raise PeerUnavailable(f"the Helper does not answer: {type(error).__name__}") from None
        if response.is_success:
            return response
        problem: DapProblem = from_response(response.status_code, response.headers, response.content, self._clock())
        if response.status_code in _TEMPORARY:
            raise PeerUnavailable(f"the Helper is busy: {problem}", problem.retry_after)
        if response.is_client_error:
            raise problem
        raise PeerUnavailable(f"the Helper fails: {problem}")

    def _answer(self, response: httpx.Response, media_type: str, location: str) -> Answer:
        if not response.content:
            retry = parse_retry_after(response.headers.get("retry-after"), self._clock())
            return Answer(None, location, 1.0 if retry is None else retry)
        if response.headers.get("content-type") != media_type:
            raise PeerUnavailable(f"the Helper's answer is not of type {media_type}")
        return Answer(response.content, location)
